"""Training: what an example teaches, that a step learns, and that a stopped run goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from typer.testing import CliRunner

from dragoman.__main__ import app
from dragoman.asr.causal.adapter import load_adapter
from dragoman.asr.causal.augment import augment, nothing
from dragoman.asr.causal.corpus import Clip, load_clips, make_clip, save_clips, shards
from dragoman.asr.causal.examples import FRAME_S, GRAIN, LONGEST, draw_cut, make_example, padded_tokens, written
from dragoman.asr.causal.texts import LANGUAGES, sentence
from dragoman.audio.types import DragomanError, Speech, Word
from dragoman.models.catalog import resolve

WORDS = (Word("Hello", 0.2, 0.5), Word("there,", 0.6, 1.0), Word("friend.", 1.6, 2.0))


@pytest.mark.parametrize(
    ("until", "ended", "texts", "held"),
    [
        (0.6, False, [], False),
        (0.7, False, ["Hello"], False),
        (1.2, False, ["Hello", "there"], True),
        (1.5, False, ["Hello", "there,"], False),
        (2.2, False, ["Hello", "there,", "friend"], True),
        (2.5, False, ["Hello", "there,", "friend."], False),
        (2.1, True, ["Hello", "there,", "friend."], False),
    ],
)
def test_what_is_written_at_a_cut(until: float, ended: bool, texts: list[str], held: bool) -> None:
    """Words that are over, and marks once it is known that they belong there."""
    assert written(WORDS, until, ended=ended) == (texts, held)


class Letters:
    """A tokenizer that has a token for each letter."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


def test_a_cut_is_an_end_a_pause_or_any_moment() -> None:
    """Where the sound has ended, in a pause too, all words before are written and none after; and what comes after is
    not heard.
    """
    words = (*WORDS[:2], Word("my", 2.0, 2.3), Word("friend.", 2.4, 2.8))
    line = np.arange(round(3.2 * 16_000)) / 16_000
    clip = Clip((0.3 * np.sin(2 * np.pi * 200 * line)).astype(np.float32), words, "en", heard=True)
    rng, seen = np.random.default_rng(1), set()
    for _ in range(200):
        cut = draw_cut(clip, rng)
        assert 0 < cut.frames <= LONGEST
        assert cut.frames % GRAIN == 0
        example = make_example(clip, cut, rng, Letters())
        said = "".join(map(chr, example.tokens))
        quiet = example.mel[int(cut.until_s * 100) + 4 :].max(initial=-1.0)
        if not cut.ended:
            kind = "any"
            assert cut.until_s == cut.frames * FRAME_S
        elif cut.until_s == clip.seconds:
            kind = "end"
            assert said == " Hello there, my friend."
            assert example.alike == example.frames
        else:
            kind = "pause"
            assert 1.0 < cut.until_s < 2.0
            assert said == " Hello there,"
            assert cut.frames * FRAME_S >= cut.until_s + 0.4
            assert quiet < example.mel.max() - 1
            assert example.alike < example.frames
        seen.add(kind)
    assert seen == {"any", "end", "pause"}


def test_a_voice_that_was_heard_stays_as_it_is() -> None:
    """No noise is added to what a microphone has heard."""
    [clip] = clips(1)
    heard = Clip(clip.pcm, clip.words, "en", heard=True)
    rng = np.random.default_rng(3)
    cut = next(cut for cut in iter(lambda: draw_cut(heard, rng), None) if cut.ended)
    first, second = (make_example(heard, cut, np.random.default_rng(seed), Letters()) for seed in (1, 2))
    np.testing.assert_array_equal(first.mel, second.mel)


def test_targets_follow_the_prompt() -> None:
    """The last token of the prompt is followed by the text, and the text by its end."""

    class Fake:
        def __init__(self, tokens: tuple[int, ...]) -> None:
            self.tokens = tokens

    inputs, targets = padded_tokens([Fake((7, 8)), Fake(())], [[1, 2], [1, 3]], 9, 100)  # type: ignore[list-item]
    assert inputs.tolist() == [[1, 2, 7, 8], [1, 3, 9, 9]]
    assert targets.tolist() == [[-100, 7, 8, 9], [-100, 9, -100, -100]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_drawn_by_seed(language: str) -> None:
    """The same seed gives the same sentences, and they differ from each other."""
    first, second = ([sentence(Random(4), language) for _ in range(1)] for _ in range(2))
    assert first == second
    rng = Random(1)
    assert len({sentence(rng, language) for _ in range(50)}) > 40


def test_a_language_without_texts_is_an_error() -> None:
    """It names those that there are."""
    with pytest.raises(DragomanError, match="there are en, pt"):
        sentence(Random(1), "xx")


class Hum:
    """A voice that hums for a quarter of a second a word."""

    def synthesize(self, text: str, *, rate: float = 1.0) -> Speech:
        words = text.split()
        line = np.arange(6000 * len(words)) / 24_000
        timed = tuple(Word(word, 0.25 * i, 0.25 * i + 0.2) for i, word in enumerate(words))
        return Speech((0.3 * np.sin(2 * np.pi * 150 * line)).astype(np.float32), timed)


def clips(count: int, seed: int = 1) -> list[Clip]:
    rng = Random(seed)
    return [make_clip(rng, "en", lambda _rng, _language: ("hum", Hum()), sentence) for _ in range(count)]


def test_clips_come_back_from_their_shard(tmp_path: Path) -> None:
    """Sound to 16 bits, words to the last digit; the same seed makes the same clips."""
    made = clips(3)
    made[1] = replace(made[1], heard=True)
    save_clips(tmp_path / "en-1-00000.npz", made)
    loaded = list(load_clips(tmp_path / "en-1-00000.npz"))
    again = clips(3)
    for one, two, three in zip(made, loaded, again, strict=True):
        assert one.words == two.words == three.words
        assert one.heard == two.heard
        np.testing.assert_allclose(one.pcm, two.pcm, atol=1e-4)
        np.testing.assert_array_equal(one.pcm, three.pcm)
        assert one.seconds <= 28.1
        assert all(word.end <= one.seconds for word in one.words)


def test_a_broken_shard_is_an_error(tmp_path: Path) -> None:
    """It says which file and what to do."""
    (tmp_path / "en-1-00000.npz").write_bytes(b"nothing")
    with pytest.raises(DragomanError, match="delete it"):
        list(load_clips(tmp_path / "en-1-00000.npz"))


def test_microphones_keep_length_and_range() -> None:
    """Any seed gives a finite sound of the same length within [-1, 1]."""
    pcm = clips(1)[0].pcm
    for seed in range(20):
        out = augment(pcm, np.random.default_rng(seed), pcm[::-1])
        assert out.shape == pcm.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        assert np.abs(out).max() <= 1
        assert np.isfinite(nothing(np.random.default_rng(seed))).all()


@pytest.mark.train
def test_training_learns_saves_and_goes_on(tmp_path: Path) -> None:
    """Two steps change the adapter; a second run begins where the first ended."""
    pytest.importorskip("torch")
    from dragoman.asr.causal.training import CHECKED, Options, Report, Trainer

    save_clips(tmp_path / "data" / "en-1-00000.npz", [clip for clip in clips(CHECKED + 2) if clip.words])
    reports: list[Report] = []
    for steps in (1, 2):
        options = Options(steps=steps, frames=200, rank=2, decoder_rank=2, check_every=1000)
        trainer = Trainer(resolve("whisper-tiny.en"), tmp_path / "data", tmp_path / "run", ["en"], options)
        trainer.run(reports.append)
    assert [report.step for report in reports] == [1, 2]
    assert all(np.isfinite(report.loss) for report in reports)
    adapter = load_adapter(tmp_path / "run" / "adapter.npz")
    assert adapter.card["steps"] == 2
    assert any(np.abs(up).max() > 0 for up, _ in adapter.changes.values())
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 2
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])["step"] == 1

    begin = tmp_path / "run" / "adapter.npz"
    options = Options(steps=0, rank=2, decoder_rank=2, begin=begin)
    Trainer(resolve("whisper-tiny.en"), tmp_path / "data", tmp_path / "on", ["en"], options).save()
    begun = load_adapter(tmp_path / "on" / "adapter.npz")
    for name, (up, down) in adapter.changes.items():
        np.testing.assert_allclose(begun.changes[name][0], up, atol=1e-6)
        np.testing.assert_array_equal(begun.changes[name][1], down)
    with pytest.raises(DragomanError, match="other ranks"):
        Trainer(resolve("whisper-tiny.en"), tmp_path / "data", tmp_path / "x", ["en"], Options(rank=3, begin=begin))

    options = Options(steps=3, rank=2, decoder_rank=2)
    for data, language in (("data", "pt"), ("none", "en")):  # a slip: what was trained keeps its card
        slip = Trainer(resolve("whisper-tiny.en"), tmp_path / data, tmp_path / "run", [language], options)
        with pytest.raises(DragomanError, match=f"holds no clips in '{language}'"):
            slip.run(reports.append)
        assert load_adapter(tmp_path / "run" / "adapter.npz").card == adapter.card


@pytest.mark.train
def test_the_decoder_learns_alone(tmp_path: Path) -> None:
    """The encoder keeps every bit and its name, so that what was trained on it hears the same."""
    pytest.importorskip("torch")
    from dragoman.asr.causal.catalog import adapter_path
    from dragoman.asr.causal.training import CHECKED, Options, Trainer

    shipped = adapter_path("whisper-tiny.en")
    assert shipped is not None
    begun = load_adapter(shipped)
    rank = begun.changes["decoder.0.attn.q.weight"][0].shape[1]
    save_clips(tmp_path / "data" / "en-1-00000.npz", [clip for clip in clips(CHECKED + 2) if clip.words])
    options = Options(steps=2, frames=200, check_every=1000, encoder=False, begin=shipped, decoder_rank=rank)
    for strength in (1.0, 0.5):  # as it is, and from where it stopped
        changed = replace(options, strength=strength)
        trainer = Trainer(resolve("whisper-tiny.en"), tmp_path / "data", tmp_path / "run", ["en"], changed)
        trainer.run(lambda report: None)
        (tmp_path / "run" / "adapter.npz").rename(tmp_path / f"{strength}.npz")
    learned, half = (load_adapter(tmp_path / f"{strength}.npz") for strength in (1.0, 0.5))
    name = next(name for name in learned.changes if name.startswith("decoder"))
    whole, mean, before = (adapter.changes[name][0] @ adapter.changes[name][1] for adapter in (learned, half, begun))
    np.testing.assert_allclose(mean, (whole + before) / 2, atol=1e-3)
    assert half.ear == begun.ear
    assert learned.ear == begun.ear
    assert learned.digest() != begun.digest()
    for name, (up, down) in learned.changes.items():
        same = np.array_equal(up, begun.changes[name][0]) and np.array_equal(down, begun.changes[name][1])
        assert same == name.startswith("encoder")
    with pytest.raises(DragomanError, match="to begin with"):
        Trainer(resolve("whisper-tiny.en"), tmp_path / "data", tmp_path / "x", ["en"], Options(encoder=False))


def test_a_transcript_takes_the_times_of_what_was_heard() -> None:
    """Words that were heard otherwise are spread between their neighbours."""
    from dragoman.agent.recordings import timed

    heard = [Word("the", 0.0, 0.2), Word("wizzard", 0.3, 0.8), Word("left", 1.0, 1.4)]
    words = timed(["The", "wizard", "left."], heard)
    assert [word.text for word in words] == ["The", "wizard", "left."]
    assert (words[0].end, words[2].start) == (0.2, 1.0)
    assert 0.2 <= words[1].start < words[1].end <= 1.0


def test_a_recording_s_text_that_can_not_be_read_is_one_clear_line(tmp_path: Path) -> None:
    """Before the recording is heard, which takes long."""
    from dragoman.agent.recordings import recorded_clips

    (tmp_path / "talk.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(DragomanError, match=r"talk\.txt: no text that can be read"):
        next(recorded_clips(tmp_path / "talk.wav", object(), "en"))


def test_recordings_are_known_by_what_is_in_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is put among others, or lies in another folder, is heard, and no other is heard again."""
    heard: list[str] = []

    def clips(path: Path, recognizer: object, language: str) -> list[Clip]:
        heard.append(path.name)
        return [Clip(np.zeros(160, np.float32), (Word(path.stem, 0.0, 0.01),), language, path.stem)]

    monkeypatch.setattr("dragoman.agent.cli.data.open_recognizer", lambda model, lang: None)
    monkeypatch.setattr("dragoman.agent.recordings.recorded_clips", clips)

    def made(folder: str) -> list[str]:
        command = ["data", "recordings", str(tmp_path / folder), "--folder", str(tmp_path / "clips"), "--json"]
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        *found, summary = [json.loads(line) for line in done.stdout.splitlines()]
        assert summary["clips"] == len(found)
        return [clip.speaker for line in found for clip in load_clips(Path(line["path"]))]

    for folder, names in (("one", "ac"), ("two", "d")):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.wav").write_text(name)
    assert made("one") == ["a", "c"]
    (tmp_path / "one" / "b.wav").write_text("b")
    assert made("one") == ["a", "b", "c"]
    assert made("two") == ["d"]
    assert heard == ["a.wav", "c.wav", "b.wav", "d.wav"]
    assert len(shards(tmp_path / "clips", ["en"])) == 4

    # A text that is put beside a recording, or put right, is heeded; where it lies without, the text is kept.
    for text in ("bee", "Bee."):
        (tmp_path / "one" / "b.txt").write_text(text)
        assert made("one") == made("one") == ["a", "b", "c"]
    (tmp_path / "two" / "b.wav").write_text("b")
    assert made("two") == ["b", "d"]
    assert heard[4:] == ["b.wav", "b.wav"]
    assert len(shards(tmp_path / "clips", ["en"])) == 4


def test_recordings_become_clips(english_recognizer, spoken, tmp_path: Path) -> None:
    """A file of speech gives a clip with its words inside it."""
    from dragoman.agent.recordings import recorded_clips, recordings
    from dragoman.audio.files import save

    quiet = np.zeros(12_000, np.float32)
    save(tmp_path / "a.wav", np.concatenate([quiet, spoken("The train to Edinburgh is late."), quiet]), 16_000)
    [path] = recordings(tmp_path)
    [clip] = recorded_clips(path, english_recognizer, "en")
    assert "train" in clip.text
    assert 0 < clip.words[0].start < clip.words[-1].end <= clip.seconds
    with pytest.raises(DragomanError, match="no sound files"):
        recordings(tmp_path / "nothing")
