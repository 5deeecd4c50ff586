"""Drafts for the verifier: conversations spoilt at their input, a drafter run over them, their folder, the judge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from duplex_small import adapter, body
from verifier_small import conversation, hear

from dragoman.agent.duplex import graph
from dragoman.agent.duplex.conversation import Conversation
from dragoman.agent.duplex.corruption import CORRUPTIONS, Corruption, spoil
from dragoman.agent.duplex.drafting import EARLY, PREFIX, Drafted, Drafter, recognized
from dragoman.agent.duplex.frames import FRAME
from dragoman.agent.duplex.judging import Judge
from dragoman.agent.duplex.labelled import Origin, is_done, load_folder, load_labels, save_labels, save_shard
from dragoman.agent.duplex.runtime import DuplexRuntime
from dragoman.agent.ports import Message
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples
from dragoman.verifier.labels import Candidate, Label

SAID = "My sister Maria does not like the 3 dogs"


def talks() -> list[Conversation]:
    return [
        conversation(f"c{i}", said, "yes good yes") for i, said in enumerate((SAID, "Where do we go", "It rains a lot"))
    ]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> DuplexRuntime:
    folder = tmp_path_factory.mktemp("graphs")
    small = body()
    # Words are rare among the tokens, and an end is not: let it say more of the one and less of the other.
    begins = [token.startswith("\u0120") for token in small.merges.tokens]
    tokens = np.where(np.array(begins)[:, None], 4 * small.arrays["tokens"], small.arrays["tokens"])
    made = adapter(small)
    talkative = replace(made, own={**made.own, "end_bias": np.full(1, -9, np.float32)})
    graph.write(replace(small, arrays={**small.arrays, "tokens": tokens}), talkative, folder, quantized=False)
    return DuplexRuntime(folder)


def spoilt(how: Corruption) -> tuple[Conversation, Conversation]:
    """A conversation whose first turn is spoilt in one way, before and after."""
    one, *others = talks()
    for seed in range(40):
        found = spoil(one, others, str(seed))
        if found.how[0] == how:
            return one, found.conversation
    raise AssertionError(f"{how} was never drawn")


@pytest.mark.parametrize("how", CORRUPTIONS)
def test_only_what_is_heard_is_spoilt(how: Corruption) -> None:
    """Sound and words of the turns change, nothing between them; what is true of the conversation stays."""
    before, after = spoilt(how)
    changed = np.flatnonzero(before.pcm != after.pcm) / INPUT_RATE
    assert len(changed)
    assert all(
        any(e.start_s - 0.11 <= t <= e.end_s + 0.11 for e in before.user) for t in changed[:: len(changed) // 50]
    )
    assert after.user[0].words != before.user[0].words
    assert [e.text for e in after.user] == [e.text for e in before.user]
    assert replace(after, pcm=before.pcm, user=before.user) == before
    assert np.isfinite(after.pcm).all()


def test_words_that_matter_are_misheard() -> None:
    """Denials, names and numbers are taken for others, and their sound does not tell; other words stay."""
    before, after = spoilt("misheard")
    said, heard = ([word.text for word in one.user[0].words] for one in (before, after))
    assert "Maria" in said
    assert not {"Maria", "3", "not"} & set(heard)
    assert {"My", "sister", "dogs"} <= set(heard)
    word = before.user[0].words[2]
    span = slice(round(word.start * INPUT_RATE), round(word.end * INPUT_RATE))
    assert np.abs(after.pcm[span]).max() < 0.1 * np.abs(before.pcm[span]).max()


def test_the_sound_of_another_turn_ends_when_its_own_did() -> None:
    """Its words and its sound come in place of the own ones."""
    _, after = spoilt("other")
    own = after.user[0]
    assert not {word.text for word in own.words} & set(SAID.split())
    assert all(own.start_s - 1e-6 <= word.start < word.end <= own.end_s + 1e-6 for word in own.words)


def test_spoiling_is_drawn_by_seed_and_reaches_every_turn() -> None:
    """The same seed spoils alike; every way occurs; without others, no turn is replaced."""
    one, *others = talks()
    first, again = spoil(one, others, "5"), spoil(one, others, "5")
    assert first.how == again.how
    np.testing.assert_array_equal(first.conversation.pcm, again.conversation.pcm)
    ways = {how for seed in range(40) for how in spoil(one, others, str(seed)).how.values()}
    assert ways == set(CORRUPTIONS)
    assert set(first.how) == {0, 1}
    assert "other" not in {how for seed in range(40) for how in spoil(one, [], str(seed)).how.values()}


def drafted(runtime: DuplexRuntime, seed: int = 1) -> list[Drafted]:
    one, *others = talks()
    return list(Drafter(runtime, hear, seed).draft(one, hear(one.pcm), others))


def test_drafts_are_made_where_replies_are_due(runtime: DuplexRuntime) -> None:
    """Natural ones at the label and before it, a cut one, spoilt ones; each with the dialogue that was true."""
    made = drafted(runtime)
    assert len({one.name for one in made}) == len(made)
    natural = {(one.name.split("/")[1], one.early) for one in made if one.kind == "natural"}
    assert natural == {(frame, early) for frame in ("19", "44") for early in range(EARLY + 1)}
    assert {one.kind for one in made} & set(CORRUPTIONS)
    assert {one.dialogue[-1] for one in made} == {("user", SAID), ("user", "No.")}
    first = next(one for one in made if "/19/" in one.name)
    assert first.dialogue == (("user", "Hello."), ("assistant", "Yes?"), ("user", SAID))
    # Two words of the first reply had been heard when it was interrupted.
    later = next(one for one in made if "/44/" in one.name)
    assert later.dialogue[-2:] == (("assistant", "yes good"), ("user", "No."))
    assert all(len(one.draft.hidden) == len(one.draft.tokens) > 0 for one in made)
    assert all(len(one.draft.text.split()) <= PREFIX[1] for one in made)


def test_a_turn_that_is_cut_is_drafted_from_what_was_heard(runtime: DuplexRuntime) -> None:
    """The fork lies inside the turn: what comes later does not change the draft."""
    one, *others = talks()
    features = hear(one.pcm)
    changed = features.copy()
    changed[15:] = 0
    cuts = [
        next(d for d in Drafter(runtime, hear, 4).draft(one, given, others) if d.kind == "cut")
        for given in (features, changed)
    ]
    np.testing.assert_array_equal(cuts[0].draft.hidden, cuts[1].draft.hidden)
    assert cuts[0].dialogue[-1] == ("user", SAID)


def test_natural_drafts_are_those_of_the_stream(runtime: DuplexRuntime) -> None:
    """Deterministic; and what is spoilt is not what is natural."""
    made, again = drafted(runtime), drafted(runtime)
    assert [(one.name, one.draft.text) for one in made] == [(one.name, one.draft.text) for one in again]
    states = {one.name: one.draft.hidden[0] for one in made}
    assert np.abs(states["c0/19/natural-0"] - states["c0/19/natural-1"]).max() > 1e-3
    bad = next(one for one in made if one.kind in CORRUPTIONS and one.name.startswith("c0/19/") and one.early == 0)
    assert np.abs(states["c0/19/natural-0"] - bad.draft.hidden[0]).max() > 1e-3


class _Text:
    """What a recognizer has heard: a word for each half second."""

    def __init__(self, count: int) -> None:
        self.text = " ".join(f"w{i}" for i in range(count))
        self.words = ()
        self.stable = max(0, count - 1)
        self.language = "en"


class _Ear:
    """A recognizer that writes a word for each half second of sound."""

    def __init__(self) -> None:
        self._samples = 0

    def open(self, language: str | None = None) -> _Ear:
        return _Ear()

    def accept(self, pcm: Samples) -> None:
        self._samples += len(pcm)

    def partial(self) -> _Text:
        return _Text(self._samples * 2 // INPUT_RATE)

    ended = final = refined = partial


def test_natural_drafts_read_what_was_recognized(runtime: DuplexRuntime) -> None:
    """Words come once, in order, some time after their sound; they change what is drafted from."""
    pcm = np.zeros(20 * FRAME, np.float32)
    words = recognized(_Ear(), pcm)
    assert len(words) == 20
    assert [word for frame in words for word in frame] == [f"w{i}" for i in range(4)]
    one, *others = talks()
    told = list(Drafter(runtime, hear, 1, _Ear()).draft(one, hear(one.pcm), others))
    true = drafted(runtime)
    assert [d.name for d in told if d.kind == "natural"] == [d.name for d in true if d.kind == "natural"]
    first, other = ({d.name: d.draft.hidden[0] for d in made} for made in (told, true))
    assert np.abs(first["c0/19/natural-0"] - other["c0/19/natural-0"]).max() > 1e-3
    # Those that are spoilt read the words as they were spoilt.
    bad = [d.name for d in true if d.kind in CORRUPTIONS]
    assert bad
    assert all((first[name] == other[name]).all() for name in bad)


def test_a_folder_of_drafts_comes_back(runtime: DuplexRuntime, tmp_path: Path) -> None:
    """Drafts with all that is known of them, and their labels; a shard of another drafter is refused."""
    made, origin = drafted(runtime), Origin("d0", 1, False)
    assert not is_done(tmp_path, "verifier-1-00002", origin)
    save_shard(tmp_path, "verifier-1-00002", made, origin)
    assert is_done(tmp_path, "verifier-1-00002", origin)
    found, back = load_folder(tmp_path)
    assert (found, back) == (origin, made)
    np.testing.assert_allclose(back[0].draft.hidden, made[0].draft.hidden, atol=0.02)
    with pytest.raises(DragomanError, match="another drafter"):
        is_done(tmp_path, "verifier-1-00002", Origin("d1", 1, False))
    with pytest.raises(DragomanError, match="no labels"):
        load_labels(tmp_path)
    labels = {one.name: Label("good", "fits", 0.2, 0.1) for one in made}
    save_labels(tmp_path, labels, {"by": "hand"})
    assert load_labels(tmp_path) == (labels, {"by": "hand"})
    save_shard(tmp_path, "verifier-1-00009", made, Origin("d1", 1, False))
    with pytest.raises(DragomanError, match="several drafters"):
        load_folder(tmp_path)
    (tmp_path / "verifier-1-00009.json").write_text("{}")
    with pytest.raises(DragomanError, match="not an index"):
        load_folder(tmp_path)
    with pytest.raises(DragomanError, match="holds no drafts"):
        load_folder(tmp_path / "nothing")


class _Model:
    """A language model that says what it is told to, word by word."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.read: list[str] = []

    async def reply(
        self, messages: Sequence[Message], *, prefix: str = "", max_tokens: int = 160
    ) -> AsyncGenerator[str, None]:
        self.read.append(messages[-1].content)
        for piece in self.answers.pop(0):
            yield piece

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None: ...

    async def aclose(self) -> None: ...


def test_a_judge_labels_by_the_rubric_and_is_asked_once(tmp_path: Path) -> None:
    """Its first word counts; an answer is kept; who answers otherwise is asked again, and then is no judge."""
    one = Candidate("a", "I see that", (("user", "It rains."),), "c")
    two = replace(one, name="b", text="Well, I think")

    def judged(model: _Model, *candidates: Candidate) -> dict[str, Label]:
        judge = Judge(tmp_path / "judge.sqlite", model, "m", at_once=1)
        return asyncio.run(judge.label(candidates, lambda done, total: None))

    model = _Model("Good.", "well", "generic, I think")
    found = judged(model, one, two)
    assert [(found[name].verdict, found[name].reason) for name in "ab"] == [("good", "judge"), ("generic", "judge")]
    assert "user: It rains." in model.read[0]
    assert "I see that" in model.read[0]
    assert judged(_Model(), one, two) == found
    with pytest.raises(ExceptionGroup) as caught:
        judged(_Model("a", "b", "c"), replace(one, text="Other"))
    assert "take a larger model" in str(caught.value.exceptions[0])


def test_the_index_is_plain_json(runtime: DuplexRuntime, tmp_path: Path) -> None:
    """Others may read it."""
    save_shard(tmp_path, "verifier-1-00002", drafted(runtime), Origin("d0", 1, False))
    data = json.loads((tmp_path / "verifier-1-00002.json").read_text())
    assert data["origin"]["drafter"] == "d0"
    assert data["drafts"][0]["dialogue"][-1] == ["user", SAID]
