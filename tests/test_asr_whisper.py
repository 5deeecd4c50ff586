"""The recognizer on real speech: partials, finals, long turns, and nothing out of nothing."""

from __future__ import annotations

import tracemalloc

import jiwer
import numpy as np
import pytest
from texts import FOX, STORY
from whisper_normalizer.english import EnglishTextNormalizer

from dragoman.agent.ports import Recognizer
from dragoman.asr import open_recognizer
from dragoman.asr.window import settled
from dragoman.audio.levels import speech_end
from dragoman.audio.types import DragomanError, Word

RATE = 16_000


def normal(text):
    return EnglishTextNormalizer()(text)


def wer(reference, hypothesis):
    return jiwer.wer(normal(reference), normal(hypothesis))


def silence(seconds):
    return np.zeros(int(seconds * RATE), np.float32)


def heard(recognizer, pcm, language=None):
    stream = recognizer.open(language)
    stream.accept(pcm)
    return stream.final()


def test_final_text_is_what_was_said(english_recognizer, spoken):
    """Words, case and punctuation of a clear sentence come out right."""
    recognizer: Recognizer = english_recognizer
    final = heard(recognizer, spoken(FOX))
    assert wer(FOX, final.text) <= 0.1
    assert final.text[0] == "T"
    assert final.language == "en"


def test_words_have_times_and_probabilities(english_recognizer, spoken):
    """Words are the text's, in order, within the speech, and each believed to some degree."""
    pcm = np.concatenate([silence(0.7), spoken(FOX), silence(1.0)])
    final = heard(english_recognizer, pcm)
    assert " ".join(word.text for word in final.words) == final.text
    assert final.stable == len(final.words)
    times = [t for word in final.words for t in (word.start, word.end)]
    assert times == sorted(times)
    assert final.words[0].start == pytest.approx(0.7, abs=0.25)
    assert final.words[-1].end == pytest.approx(speech_end(pcm, RATE), abs=0.3)
    assert all(0 < word.p <= 1 for word in final.words)


def test_a_number_and_a_word_with_a_hyphen_are_one_word_each(english_recognizer, spoken):
    """The words joined by spaces are the text, whatever marks stand inside them."""
    said = "My brother-in-law is a twenty-year-old. He pays three point five million, or ten percent."
    final = heard(english_recognizer, spoken(said))
    assert {"brother-in-law", "3.5", "10%."} & set(final.text.split())
    assert [word.text for word in final.words] == final.text.split()
    times = [t for word in final.words for t in (word.start, word.end)]
    assert times == sorted(times)


def test_word_times_do_not_depend_on_the_silence_before(english_recognizer, spoken):
    """More silence in front shifts every word by as much."""
    early, late = (heard(english_recognizer, np.concatenate([silence(s), spoken(FOX)])) for s in (1.28, 6.40))
    assert early.text == late.text
    for a, b in zip(early.words, late.words, strict=True):
        assert b.start - a.start == pytest.approx(5.12, abs=0.02)


def test_partials_grow_and_agree(english_recognizer, spoken):
    """Partials show the words as they come; the stable ones are a prefix of the text."""
    stream = english_recognizer.open()
    pcm = np.concatenate([spoken(FOX), silence(0.5)])
    counts, partial = [], stream.partial()
    assert partial.text == ""
    for start in range(0, len(pcm), RATE // 2):
        stream.accept(pcm[start : start + RATE // 2])
        partial = stream.partial()
        counts.append(len(partial.text.split()))
        assert 0 <= partial.stable <= counts[-1]
    assert counts[len(counts) // 2] > 0
    assert wer(FOX, partial.text) <= 0.25
    assert wer(FOX, stream.final().text) <= 0.1


def test_chunking_does_not_matter(english_recognizer, spoken):
    """A turn in odd little pieces gives the words of the turn at once."""
    pcm = spoken(FOX)
    stream = english_recognizer.open()
    for piece in np.array_split(pcm, 97):
        stream.accept(piece)
    assert stream.final() == heard(english_recognizer, pcm)


def test_final_is_free_when_only_silence_came_since(english_recognizer, spoken):
    """A second final after more silence is the first one itself: waiting for the end of a turn costs nothing."""
    stream = english_recognizer.open()
    stream.accept(np.concatenate([spoken(FOX), silence(0.3)]))
    first = stream.final()
    stream.accept(silence(1.0))
    assert stream.final() is first
    partial = stream.partial()
    stream.accept(silence(1.0))
    assert stream.partial() is partial


def test_a_turn_may_go_on_after_a_final(english_recognizer, spoken):
    """Speech after a final is added to it, with times from the turn's first sample."""
    stream = english_recognizer.open()
    first, second = spoken(STORY[0]), spoken(STORY[1])
    stream.accept(np.concatenate([first, silence(0.6)]))
    stream.final()
    stream.accept(second)
    final = stream.final()
    assert wer(" ".join(STORY[:2]), final.text) <= 0.15
    assert final.words[-1].end > (len(first) + RATE) / RATE


@pytest.mark.parametrize(
    "pcm",
    [
        silence(0),
        silence(0.01),
        silence(3),
        np.random.default_rng(3).normal(0, 0.1, 4 * RATE),
        np.random.default_rng(3).normal(0, 0.001, 4 * RATE),
        0.3 * np.sin(np.arange(3 * RATE) * 0.1),
    ],
    ids=["nothing", "10 ms", "silence", "noise", "soft noise", "tone"],
)
def test_nothing_is_invented(english_recognizer, pcm):
    """What holds no voice gives no text: partial, final, or with a language still to be found."""
    stream = english_recognizer.open()
    stream.accept(pcm.astype(np.float32))
    assert stream.partial().text == ""
    assert stream.final().text == ""
    assert stream.final().words == ()


def test_a_single_short_word(english_recognizer, spoken):
    """Half a second of speech is padded, recognized, and not drowned in inventions."""
    final = heard(english_recognizer, np.concatenate([silence(0.3), spoken("Yes."), silence(0.3)]))
    assert normal(final.text) == "yes"


def test_a_turn_longer_than_the_window_loses_nothing(english_recognizer, spoken):
    """Beyond 30 s the window is cut at a pause: closed words stay, and all words are there, with times that fit."""
    pcm = np.concatenate([sound for text in STORY for sound in (spoken(text), silence(0.8))])
    assert len(pcm) > 30 * RATE
    stream = english_recognizer.open()
    stream.accept(pcm[: 30 * RATE])
    early = stream.partial()
    assert len(early.words) > 10
    assert early.stable >= len(early.words)
    stream.accept(pcm[30 * RATE :])
    final = stream.final()
    assert final.words[: len(early.words)] == early.words
    assert wer(" ".join(STORY), final.text) <= 0.1
    times = [t for word in final.words for t in (word.start, word.end)]
    assert times == sorted(times)
    assert final.words[-1].end == pytest.approx(speech_end(pcm, RATE), abs=0.4)


def test_silence_takes_no_memory(english_recognizer):
    """Two minutes of silence are not kept."""
    stream = english_recognizer.open()
    stream.accept(silence(1))
    stream.partial()
    tracemalloc.start()
    try:
        for _ in range(24):
            stream.accept(silence(5))
            stream.partial()
        assert tracemalloc.get_traced_memory()[0] < 600_000
    finally:
        tracemalloc.stop()


def test_the_buffer_may_be_reused(english_recognizer, spoken):
    """The caller's array is copied: what is written into it later is not heard."""
    pcm = spoken(FOX).copy()
    stream = english_recognizer.open()
    stream.accept(pcm)
    pcm[:] = 0
    assert wer(FOX, stream.final().text) <= 0.1


def test_language_is_detected_and_held(multilingual_recognizer, spoken):
    """Without a language it is found in the speech, and said."""
    assert heard(multilingual_recognizer, spoken(FOX)).language == "en"


def test_a_known_language_is_not_detected(multilingual_recognizer, spoken):
    """A stream opened for Portuguese writes Portuguese."""
    final = heard(multilingual_recognizer, spoken("Bom dia, eu gostaria de um café com leite.", "pt"), "pt")
    assert final.language == "pt"
    assert "café" in final.text.lower()


def test_unknown_language_is_refused(english_recognizer, multilingual_recognizer):
    """English-only weights say that they know English alone; no one knows Klingon."""
    with pytest.raises(DragomanError, match=r"'pt'.*knows: en"):
        english_recognizer.open("pt")
    with pytest.raises(DragomanError, match="'tlh'"):
        multilingual_recognizer.open("tlh")


def test_a_folder_without_a_model_is_refused(tmp_path):
    """What is missing in the folder is named."""
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DragomanError, match=r"model\.bin"):
        open_recognizer(str(tmp_path))


def test_word_times_are_mended():
    """A word that attention stretched over a pause keeps the part that was spoken, and order is kept."""
    words = [Word("a", 0.0, 1.0), Word("b", 1.0, 3.0), Word("c", 2.9, 9.0)]
    regions = [(0, RATE), (int(2.5 * RATE), 4 * RATE)]
    mended = settled(words, regions, 4.05)
    assert [(w.start, w.end) for w in mended] == [(0.0, 1.0), (2.4, 3.0), (3.0, 4.05)]
