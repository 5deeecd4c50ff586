"""The causal recognizer on real speech: words while it is spoken, nothing invented, nothing lost, bounded for ever."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import jiwer
import numpy as np
import psutil
import pytest
from texts import FOX, STORY
from whisper_normalizer.english import EnglishTextNormalizer

from dragoman.agent.ports import Recognizer
from dragoman.asr.causal.adapter import load_adapter, save_adapter
from dragoman.asr.causal.catalog import TALK, adapter_path, open_named, open_recognizer
from dragoman.asr.causal.decoding import _loop
from dragoman.asr.causal.stream import CausalRecognizer
from dragoman.asr.whisper import Hypothesis, WhisperRecognizer
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples
from dragoman.models.adapters import FOLDER

Speak = Callable[[str], Samples]
CHUNK = round(0.32 * INPUT_RATE)


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> CausalRecognizer:
    return open_recognizer("whisper-tiny.en")


@pytest.fixture(scope="module")
def multilingual() -> CausalRecognizer:
    return open_recognizer("whisper-base")


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * INPUT_RATE), np.float32)


def wer(reference: str, text: str) -> float:
    normal = EnglishTextNormalizer()
    return float(jiwer.wer(normal(reference), normal(text)))


def test_words_appear_while_they_are_spoken(recognizer: Recognizer, spoken: Speak) -> None:
    """Half of the sentence is there when half of it was heard; stable words stay as they are."""
    pcm = np.concatenate([silence(0.5), spoken(FOX), silence(0.6)])
    stream = recognizer.open("en")
    shown, stable = [], [""]
    for start in range(0, len(pcm), CHUNK):
        stream.accept(pcm[start : start + CHUNK])
        partial = stream.partial()
        words = partial.text.split()
        assert words[: len(stable)] == stable or stable == [""]
        stable = words[: partial.stable] or [""]
        shown.append(len(words))
    assert shown[len(shown) // 2 + 2] >= 4
    assert wer(FOX, stream.final().text) <= 0.2


def test_packets_do_not_matter(recognizer: Recognizer, spoken: Speak) -> None:
    """The final text of any packets is that of one piece."""
    pcm = np.concatenate([silence(0.5), spoken(FOX), silence(0.3)])
    rng = np.random.default_rng(2)
    whole = recognizer.open("en")
    whole.accept(pcm)
    cut, at = recognizer.open("en"), 0
    while at < len(pcm):
        size = int(rng.integers(1, 9000))
        cut.accept(pcm[at : at + size])
        cut.partial()
        at += size
    assert wer(whole.final().text, cut.final().text) <= 0.1


def test_the_last_word_is_not_lost(recognizer: Recognizer, spoken: Speak) -> None:
    """A sound that ends with its last word is written to the end, and more may follow it."""
    pcm = np.concatenate([silence(0.4), spoken("We waited for the train to Edinburgh.")])
    stream = recognizer.open("en")
    stream.accept(pcm)
    assert "edinburgh" in stream.final().text.lower()
    stream.accept(np.concatenate([silence(0.4), spoken("It was late again.")]))
    text = stream.final().text.lower()
    assert "edinburgh" in text
    assert "late again" in text


@pytest.mark.parametrize("gain", [0.01, 3.0])
def test_loudness_does_not_matter(recognizer: Recognizer, spoken: Speak, gain: float) -> None:
    """A voice 40 dB too quiet, or one that is clipped, is understood."""
    pcm = np.clip(np.concatenate([silence(0.5), spoken(FOX), silence(0.3)]) * gain, -1, 1).astype(np.float32)
    stream = recognizer.open("en")
    stream.accept(pcm)
    assert wer(FOX, stream.final().text) <= 0.2


def test_words_have_times(recognizer: Recognizer, spoken: Speak) -> None:
    """In order, and where the speech is, after a silence that was skipped too."""
    pcm = np.concatenate([silence(3.0), spoken(FOX), silence(0.5)])
    stream = recognizer.open("en")
    stream.accept(pcm)
    words = stream.final().words
    times = [word.end for word in words]
    assert times == sorted(times)
    assert 3.0 <= words[0].end <= 3.9
    assert times[-1] == pytest.approx(len(pcm) / INPUT_RATE - 0.5, abs=0.6)
    assert all(word.p is not None and 0 <= word.p <= 1 for word in words)


@pytest.mark.parametrize("kind", ["silence", "noise", "tone"])
def test_nothing_is_invented(recognizer: Recognizer, kind: str) -> None:
    """A minute without speech gives no text."""
    line = np.arange(60 * INPUT_RATE) / INPUT_RATE
    pcm = {
        "silence": silence(60.0),
        "noise": np.random.default_rng(1).normal(0, 0.05, len(line)).astype(np.float32),
        "tone": (0.2 * np.sin(2 * np.pi * 440 * line)).astype(np.float32),
    }[kind]
    stream = recognizer.open("en")
    for start in range(0, len(pcm), CHUNK):
        stream.accept(pcm[start : start + CHUNK])
        assert stream.partial().text == ""
    assert stream.final().text == ""


@pytest.mark.parametrize("text", ["Yes.", "No.", "Okay."])
def test_short_words_do_not_loop(recognizer: Recognizer, spoken: Speak, text: str) -> None:
    """A clip under a second gives a word or two."""
    stream = recognizer.open("en")
    stream.accept(np.concatenate([silence(0.3), spoken(text), silence(0.3)]))
    assert 1 <= len(stream.final().text.split()) <= 3


@pytest.mark.parametrize(
    ("numbers", "surplus"),
    [
        ([1, 2, 3], 0),
        ([7, 7, 7], 0),
        ([7, 7, 7, 7], 3),
        ([1, 2, 3, 1, 2, 3], 0),
        ([1, 2, 3, 1, 2, 3, 1, 2, 3], 6),
        ([1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7], 7),
        ([1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 8], 0),
    ],
)
def test_what_is_a_loop(numbers: list[int], surplus: int) -> None:
    """Short repetitions are speech, long ones are a decoder that runs in circles."""
    assert _loop(numbers) == surplus


def test_past_thirty_seconds(recognizer: Recognizer, spoken: Speak) -> None:
    """A turn of a minute without a pause to cut at is heard to its end, its closed text unchanged."""
    sentences = [spoken(text) for text in (*STORY, *STORY[:8])]
    pcm = np.concatenate(sentences)
    assert len(pcm) > 40 * INPUT_RATE
    stream = recognizer.open("en")
    closed: list[str] = []
    for start in range(0, len(pcm), CHUNK):
        stream.accept(pcm[start : start + CHUNK])
        partial = stream.partial()
        words = partial.text.split()
        assert words[: len(closed)] == closed
        closed = words[: partial.stable]
    assert wer(" ".join((*STORY, *STORY[:8])), stream.final().text) <= 0.25


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_is_flat(recognizer: Recognizer, spoken: Speak) -> None:
    """Ten minutes of talk in one stream hold no more than one."""
    pcm = np.concatenate([np.concatenate([spoken(text), silence(0.7)]) for text in STORY])
    stream = recognizer.open("en")
    levels = []
    tracemalloc.start()
    for _ in range(18):
        for start in range(0, len(pcm), CHUNK):
            stream.accept(pcm[start : start + CHUNK])
            stream.partial()
        levels.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert levels[-1] < levels[2] + 20_000_000


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("takes_long")
def test_two_hours_hold_memory_flat(recognizer: Recognizer, spoken: Speak) -> None:
    """Two hours of talk in one stream: the process grows by less than 30 MB after its first ten minutes."""
    pcm = np.concatenate([np.concatenate([spoken(text), silence(0.7)]) for text in STORY])
    stream = recognizer.open("en")
    process = psutil.Process()
    levels: list[int] = []  # at each step: a segment that is full holds more than one that begins
    heard = 0
    while heard < 7200 * INPUT_RATE:
        for start in range(0, len(pcm), CHUNK):
            stream.accept(pcm[start : start + CHUNK])
            stream.partial()
            levels.append(process.memory_info().rss)
        heard += len(pcm)
        print(f"{heard / INPUT_RATE:6.0f} s heard, {levels[-1] / 1e6:.0f} MB")
    first = levels[: 600 * INPUT_RATE // CHUNK]
    assert max(levels) < max(first) + 30_000_000


def test_a_beam_hears_too(recognizer: CausalRecognizer, spoken: Speak) -> None:
    """Beam search gives words as they are spoken, and keeps stable ones."""
    wide = CausalRecognizer(recognizer.model, recognizer.tokens, beam=3)
    pcm = np.concatenate([silence(0.4), spoken(FOX), silence(0.4)])
    stream = wide.open("en")
    stable: list[str] = []
    for start in range(0, len(pcm), CHUNK):
        stream.accept(pcm[start : start + CHUNK])
        partial = stream.partial()
        assert partial.text.split()[: len(stable)] == stable
        stable = partial.text.split()[: partial.stable]
    assert len(stable) >= 6
    assert wer(FOX, stream.final().text) <= 0.2


class Dreaming:
    """A second pass that makes much of little."""

    def open(self, language: str | None = None) -> Dreaming:
        return self

    def accept(self, pcm: Samples) -> None:
        pass

    def final(self) -> Hypothesis:
        return Hypothesis("We'll see you next time, see you next time, see you next", (), 12, "en")


def test_more_words_than_anybody_says_are_not_believed(recognizer: CausalRecognizer, spoken: Speak) -> None:
    """The text of the first pass stands; in more sound so many words are possible."""
    stream = CausalRecognizer(recognizer.model, recognizer.tokens, second=Dreaming()).open("en")
    stream.accept(np.concatenate([silence(0.2), spoken("Hello again.")])[: int(1.2 * INPUT_RATE)])
    assert stream.refined() is None
    assert "again" in stream.final().text
    stream.accept(silence(3.0))
    assert stream.final().text.startswith("We'll see you")


def test_the_second_pass_is_the_offline_model(
    recognizer: CausalRecognizer, english_recognizer: WhisperRecognizer, spoken: Speak
) -> None:
    """Partials are causal, the final text is what the offline recognizer makes of the turn."""
    both = CausalRecognizer(recognizer.model, recognizer.tokens, second=english_recognizer)
    pcm = np.concatenate([silence(0.4), spoken(FOX), silence(0.4)])
    stream, offline = both.open("en"), english_recognizer.open("en")
    for one in (stream, offline):
        one.accept(pcm)
    assert len(stream.partial().text.split()) >= 6
    assert stream.final() == offline.final()


def test_a_language_it_was_not_trained_for_is_an_error(recognizer: Recognizer) -> None:
    """The message names what it knows."""
    with pytest.raises(DragomanError, match="knows en"):
        recognizer.open("pt")


def test_the_decoder_for_conversations_has_the_ear_s_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where somebody has an ear of their own, which it was not trained on, that ear is taken as it is."""
    plain, talk = (adapter_path("whisper-tiny.en", talk=talk) for talk in (False, True))
    assert plain is not None
    assert talk is not None
    assert plain.stem + TALK == talk.stem
    ears = load_adapter(plain), load_adapter(talk)
    assert ears[0].ear == ears[1].ear
    for name, (up, down) in ears[0].changes.items():
        if name.startswith("encoder"):
            np.testing.assert_array_equal(up, ears[1].changes[name][0])
            np.testing.assert_array_equal(down, ears[1].changes[name][1])
    monkeypatch.setenv(FOLDER, str(tmp_path))
    save_adapter(tmp_path / plain.name, ears[0].scaled(0.5))
    assert adapter_path("whisper-tiny.en", talk=True) == tmp_path / plain.name
    assert adapter_path("whisper-base", talk=True) == adapter_path("whisper-base")


@pytest.mark.parametrize("name", ["causal-tiny.en-talk", "causal-talk"])
def test_the_ear_for_conversations_writes_what_people_say_while_they_search_for_words(
    name: str, spoken: Callable[..., Samples]
) -> None:
    """The other one leaves it out, or hears something else."""
    said = spoken("I think we should um, go to the uh, market.")
    ear, other = open_named(name, "en"), open_named("causal", "en")
    heard = []
    for recognizer in (ear, other):
        stream = recognizer.open("en")
        stream.accept(np.concatenate([silence(0.4), said, silence(0.4)]))
        heard.append([word.strip(".,").lower() for word in stream.ended().text.split()])
    assert {"um", "uh", "think", "market"} <= set(heard[0])
    assert not {"um", "uh"} <= set(heard[1])


@pytest.mark.parametrize(
    ("model", "languages"),
    [("whisper-tiny.en", ["en"]), ("whisper-tiny.en-talk", ["en"]), ("whisper-base", ["en", "pt"])],
)
def test_the_shipped_adapters_are_small_and_say_what_they_are(model: str, languages: list[str]) -> None:
    """Under 12 MB, with steps, hours and languages of its training, and a card beside it."""
    path = adapter_path(model)
    assert path is not None
    assert path.stat().st_size < 12_000_000
    assert path.with_suffix(".md").is_file()
    card = load_adapter(path).card
    assert {"steps", "hours", "options"} <= set(card)
    assert card["languages"] == languages


@pytest.mark.parametrize(
    ("language", "text"),
    [("pt", "O trem para Lisboa parte às sete da manhã."), ("en", "The train to the coast leaves at seven.")],
)
def test_the_multilingual_ear_tells_the_language_and_hears_it(
    multilingual: CausalRecognizer, spoken: Callable[..., Samples], language: str, text: str
) -> None:
    """Words appear while they are spoken, in the language that was detected."""
    stream = multilingual.open()
    pcm = np.concatenate([silence(0.4), spoken(text, language), silence(0.4)])
    partials = []
    for start in range(0, len(pcm), CHUNK):
        stream.accept(pcm[start : start + CHUNK])
        partials.append(stream.partial().text)
    heard = stream.final()
    assert heard.language == language
    assert wer(text, heard.text) <= 0.35
    assert len(partials[len(partials) * 2 // 3].split()) >= 2


@pytest.mark.parametrize("kind", ["silence", "noise", "tone"])
def test_the_multilingual_ear_invents_nothing(multilingual: CausalRecognizer, kind: str) -> None:
    """As the English one."""
    test_nothing_is_invented(multilingual, kind)
