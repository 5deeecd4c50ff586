"""What is said in conversations for the duplex model: nothing is shared by two splits, no answer is asked for twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from duplex_spoken import USER, Echoing, plain, talks
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.agent.duplex.answers import Answer, Answers, Dialogue, PeoplesAnswers
from dragoman.agent.duplex.chat import Chat, split_of, spoken
from dragoman.agent.duplex.conversation import SPLITS, Split
from dragoman.agent.duplex.personas import casting, shared_out, shifted
from dragoman.agent.duplex.scripts import BACKCHANNELS, Script, draw_script
from dragoman.agent.engine.backchannel import is_backchannel
from dragoman.audio.types import DragomanError
from dragoman.models.catalog import resolve

# Texts


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("hahaha yeah i dont know", "Yeah I don't know."),
        ("how are you doing", "How are you doing?"),
        ("idk... u tell me :)", "I don't know, you tell me."),
        ("thats cool!! i like it", "That's cool! I like it."),
        ("where ? the chat ?", "Where? The chat?"),
        ("well,what now", "Well, what now."),
        ("see familysearch.org", None),
        ("lol", None),
        ("t6he", None),
        ("http://x.y/z", None),
        ("sooooo good", None),
    ],
)
def test_typed_lines_become_speech(typed: str, said: str | None) -> None:
    """Laughter, faces and abbreviations are not spoken; a question gets its mark."""
    assert spoken(typed) == said


def test_nobody_sees_the_talks_of_another_split() -> None:
    """Every talk is seen by one split; the shares are about 40, 15 and 15 %."""
    names = [f"talk-{i}" for i in range(2000)]
    shares = {split: sum(split_of(name) == split for name in names) / len(names) for split in SPLITS}
    assert shares["drafter"] == pytest.approx(0.4, abs=0.04)
    assert shares["test"] == pytest.approx(0.15, abs=0.03)
    said: dict[Split, set[str]] = {}
    for split in SPLITS:
        chat, rng = Chat(talks(), split), Random(1)
        said[split] = {" ".join(turn.split()[:5]) for _ in range(60) for turn in chat.draw(rng, 6)}
    assert len(said["test"]) > 2
    assert not said["test"] & said["verifier"]
    assert not (said["test"] | said["verifier"]) & said["drafter"]


def test_voices_belong_to_one_split() -> None:
    """Shifts of the fast voices, and packs: each split has some, and none is in two."""
    names = {split: {shifted(Random(i), split, {"a": USER.speaker}, 1).name for i in range(50)} for split in SPLITS}
    packs = [f"{language}{gender}_{name}" for language in "abj" for gender in "fm" for name in ("x", "y", "z")]
    given = shared_out(packs)
    assert sorted(pack for own in given.values() for pack in own) == sorted(packs)
    for one, other in (("drafter", "verifier"), ("drafter", "test"), ("verifier", "test")):
        assert names[one]  # type: ignore[index]
        assert not names[one] & names[other]  # type: ignore[index]
        assert given[one]  # type: ignore[index]
        assert not set(given[one]) & set(given[other])  # type: ignore[index]
    assert all({pack[1] for pack in own} == {"f", "m"} for own in given.values())


def test_scripts_are_varied_and_drawn_by_seed() -> None:
    """Lists, numbers, interruptions and signs of attention occur; who breaks in does not begin like a listener."""
    chat = Chat(talks(), "drafter")
    assert draw_script(Random(5), chat, "a") == draw_script(Random(5), chat, "a")
    scripts = [draw_script(Random(seed), chat, "a") for seed in range(60)]
    exchanges = [exchange for script in scripts for exchange in script.exchanges]
    assert {exchange.situation for exchange in exchanges} == {"chat", "list", "number"}
    assert any(exchange.backchannel for exchange in exchanges)
    assert any(exchange.false_start for exchange in exchanges)
    breaking = [exchange for exchange in exchanges if exchange.breaks_in is not None]
    assert len(breaking) > 10
    assert not any(is_backchannel(exchange.said.split()[0]) for exchange in breaking)
    assert all(script.exchanges[0].breaks_in is None for script in scripts)
    assert all(is_backchannel(text) for text in BACKCHANNELS)
    for script in scripts:
        roles = [role for role, _ in script.context]
        assert roles == (["user", "assistant"] * 3)[6 - len(roles) :]


# Answers


def held(path: Path, responder: Echoing, script: Script, model: str = "m") -> tuple[Dialogue, int]:
    async def run() -> tuple[Dialogue, int]:
        answers = Answers(path, responder, model)
        try:
            return await answers.hold(script), answers.asked
        finally:
            answers.close()

    return asyncio.run(run())


def test_a_kept_answer_is_not_asked_for_again(tmp_path: Path) -> None:
    """The same history and model: the file answers. Another model is asked."""
    script = Script("a", (("user", "One"), ("assistant", "Two")), (plain("Three."), plain("Four.", breaks_in=0.5)))
    path, responder = tmp_path / "answers.sqlite", Echoing()
    first, asked = held(path, responder, script)
    again, asked_again = held(path, responder, script)
    assert (first, asked, asked_again) == (again, 2, 0)
    assert held(path, responder, script, "other")[1] == 2
    assert len(responder.prompts) == 4


def test_answers_have_twelve_words_and_history_what_was_heard(tmp_path: Path) -> None:
    """Only the beginning of an answer is kept; of an interrupted one, the model reads what the user let it say."""
    script = Script("a", (), (plain("Three."), plain("Four.", breaks_in=0.5)))
    responder = Echoing()
    held_, _ = held(tmp_path / "answers.sqlite", responder, script)
    assert held_.answers[0] == Answer(" ".join(["Three"] * 12), False)
    assert held_.interrupted == (6, None)
    assert [message.role for message in responder.prompts[1]] == ["system", "user", "assistant", "user"]
    assert responder.prompts[1][2].content == " ".join(["Three"] * 6)


def test_people_answer_without_a_model() -> None:
    """What the other person of the talk answered; a turn that nobody answered ends the dialogue."""
    exchanges = (plain("Three.", breaks_in=None), plain("Four.", breaks_in=0.5), plain("Five."))
    replies = (" ".join(["so"] * 14), "Right.", "")
    script = Script("a", (), tuple(replace(one, reply=r) for one, r in zip(exchanges, replies, strict=True)))
    dialogue = asyncio.run(PeoplesAnswers().hold(script))
    assert dialogue.answers == (Answer(" ".join(["so"] * 12), False), Answer("Right.", True))
    assert dialogue.interrupted == (6, None)
    drawn = draw_script(Random(5), Chat(talks(), "drafter"), "a")
    assert [bool(exchange.reply) for exchange in drawn.exchanges[:-1]] == [True] * (len(drawn.exchanges) - 1)


def test_a_broken_file_of_answers_is_an_error(tmp_path: Path) -> None:
    """It names the file and says what to do."""
    (tmp_path / "answers.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(DragomanError, match="delete the file"):
        held(tmp_path / "answers.sqlite", Echoing(), Script("a", (), (plain("One."),)))


@pytest.mark.parametrize("given", [False, True])
def test_two_voices_talk_in_every_split(given: bool, tmp_path: Path) -> None:
    """Though all are to be Kokoro's, of which a split has but one, or has none of a pack that is given."""
    if given:
        with np.load(resolve("kokoro") / "voices.npz") as packs:
            packs["jf_alpha"].astype(np.float32).tofile(tmp_path / "af_alpha.bin")
    cast = casting(tmp_path if given else None, kokoro_share=1.0)
    for split in SPLITS:
        names = {persona.name for seed in range(3) for persona in cast(Random(seed), split)}
        assert len(names) > 1
    assert given == any("af_alpha" in persona.name for seed in range(9) for persona in cast(Random(seed), "drafter"))


def test_a_folder_without_voice_packs_is_told_at_once(tmp_path: Path) -> None:
    """A slip in its name would cost hours of other voices."""
    for command in ("speech", "duplex"):
        made = CliRunner().invoke(app, ["data", command, "--packs", str(tmp_path), "--folder", str(tmp_path / "out")])
        assert made.exit_code == 1
        assert "no voice packs (af_bella.bin) are there" in made.stderr
