"""The English voice: sound, words and their times."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.audio.levels import trim_silence
from dragoman.audio.types import OUTPUT_RATE, DragomanError, Samples
from dragoman.tts import Voice, open_voice, voices
from dragoman.tts.speakable import speakable
from dragoman.tts.voice import spread
from tests.conftest import Transcribe

SENTENCE = "Yesterday afternoon, my sister bought a new bicycle from the shop around the corner."


def plain(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def depth(pcm: Samples) -> float:
    """How much of the last audible 80 ms lies at 70 to 150 Hz, against 160 to 300: high where the tone has fallen."""
    _, end = trim_silence(pcm, OUTPUT_RATE, threshold_db=-30)
    size = OUTPUT_RATE * 8 // 100
    frame = pcm[end - size : end] * np.hanning(size)
    power = np.abs(np.fft.rfft(frame, 8 * size)) ** 2
    hertz = np.fft.rfftfreq(8 * size, 1 / OUTPUT_RATE)
    low, high = (power[(hertz > a) & (hertz < b)].max() for a, b in ((70, 150), (160, 300)))
    return float(low / high)


def test_what_it_says_is_understood(english_voice: Voice, transcribe: Transcribe) -> None:
    """A recognizer hears the sentence, all but a word at most."""
    heard = plain(transcribe(english_voice.synthesize(SENTENCE).pcm, "en"))
    assert len(set(plain(SENTENCE)) - set(heard)) <= 1


def test_the_sound_is_trimmed(english_voice: Voice) -> None:
    """Speech begins and ends with the sound."""
    pcm = english_voice.synthesize("Hello there.").pcm
    start, end = trim_silence(pcm, OUTPUT_RATE)
    assert start <= 0.02 * OUTPUT_RATE
    assert len(pcm) - end <= 0.02 * OUTPUT_RATE
    assert abs(float(pcm[0])) < 1e-3


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE,
        "Dr. Smith paid $9.99 for 1,250 apples at 7:30 pm, e.g. on March 3rd, 2024.",
        "I — you know — can't; won't! AT&T, 10°C, 5*3=15, café, Łódź and x_y.",
        "東京 is big. 100% sure? (yes)",
        "https://example.com/a is **bold** 🙂",
        "One. Two! Three?\n\n- four\n- five",
    ],
)
def test_words_are_those_of_the_text_in_order(english_voice: Voice, text: str) -> None:
    """Whatever the pronunciation makes of a word, it stays one word with one place in time."""
    speech = english_voice.synthesize(text)
    assert " ".join(word.text for word in speech.words) == speakable(text)
    times = [t for word in speech.words for t in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= speech.seconds + 1e-6


def test_a_long_number_takes_longer_than_a_short_word(english_voice: Voice) -> None:
    """Times follow what is spoken, not the letters."""
    words = {w.text: w.end - w.start for w in english_voice.synthesize("There are 1,777 people here now.").words}
    assert words["1,777"] > 3 * words["people"]


@pytest.mark.parametrize("count", [4, 9])
def test_cut_at_a_words_end_the_rest_is_the_rest(english_voice: Voice, transcribe: Transcribe, count: int) -> None:
    """The times are real: a recognizer hears the words before a cut, and none after it."""
    speech = english_voice.synthesize("Please take the red boat, because that small black car is completely broken.")
    cut = round((speech.words[count].end + speech.words[count + 1].start) / 2 * OUTPUT_RATE)
    texts = [word.text for word in speech.words]
    before, after = plain(transcribe(speech.pcm[:cut], "en")), plain(transcribe(speech.pcm[cut:], "en"))
    assert before == plain(" ".join(texts[: count + 1]))
    assert after[-len(texts) + count + 1 :] == plain(" ".join(texts[count + 1 :]))
    assert len(after) == len(texts) - count - 1


@pytest.mark.parametrize("text", ["", "   ", "🙂", "!!!", "—", "...", "```\ncode\n```", "你好"])
def test_nothing_to_say_is_silence(english_voice: Voice, text: str) -> None:
    """An empty speech, no error."""
    speech = english_voice.synthesize(text)
    assert (len(speech.pcm), speech.words) == (0, ())


@settings(max_examples=30)
@given(st.text(max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    """Any text gives a speech whose words are the text's, or nothing."""
    speech = open_voice("en").synthesize(text)
    assert not speech.words or " ".join(word.text for word in speech.words) == speakable(text)
    assert np.isfinite(speech.pcm).all()


@pytest.mark.parametrize("odd", ["x²", "①", "½", "٣", "12³", "1.2.3.4", "--", "$", "(", "'s"])
def test_an_odd_word_does_not_silence_the_sentence(english_voice: Voice, odd: str) -> None:
    """What the pronunciation can't read is left out; the other words are spoken."""
    words = {w.text: w for w in english_voice.synthesize(f"Look here {odd} please.").words}
    assert words["please."].end > words["please."].start > words["here"].start


@pytest.mark.parametrize("sign", ["%", "@", "&", "+", "=", "%."])
def test_a_sign_alone_is_said_by_its_name(english_voice: Voice, sign: str) -> None:
    (word,) = english_voice.synthesize(sign).words
    assert word.text == sign
    assert word.end > word.start + 0.1


@pytest.mark.parametrize("count", [16, 40])
def test_a_number_too_long_for_a_name_is_said_digit_by_digit(english_voice: Voice, count: int) -> None:
    speech = english_voice.synthesize("7" * count)
    assert [word.text for word in speech.words] == ["7" * count]
    np.testing.assert_array_equal(speech.pcm, english_voice.synthesize("seven " * count).pcm)


def test_a_word_without_end_does_not_hold_up_the_voice(english_voice: Voice) -> None:
    """As small language models write it now and then: reading it took minutes, for all sessions."""
    text = "So ha-" + "ha-" * 200 + " he said."
    begun = time.process_time()
    speech = english_voice.synthesize(text)
    assert time.process_time() - begun < 10
    assert [word.text for word in speech.words] == text.split()
    assert all(word.end > word.start for word in speech.words)


def test_rate_changes_the_length(english_voice: Voice) -> None:
    """Twice the pace is about half as long."""
    slow, fast = (english_voice.synthesize(SENTENCE, rate=rate).seconds for rate in (0.8, 1.6))
    assert slow / fast == pytest.approx(2.0, rel=0.25)


@pytest.mark.parametrize("rate", [0.0, 0.49, 2.1, -1.0, float("nan")])
def test_an_impossible_rate_is_told(english_voice: Voice, rate: float) -> None:
    """One clear line."""
    with pytest.raises(DragomanError, match=r"choose one from 0\.5 to 2"):
        english_voice.synthesize("Hello.", rate=rate)


@pytest.mark.parametrize(
    "text", ["I would really like to go there with Anna.", "She bought a new red bicycle", "It was a very long day"]
)
def test_what_goes_on_does_not_fall(english_voice: Voice, text: str) -> None:
    """A statement ends much lower than a clause that is left open."""
    fallen, held = (depth(english_voice.synthesize(text, final=final).pcm) for final in (True, False))
    assert held < fallen / 3


def test_the_same_text_is_the_same_sound(english_voice: Voice) -> None:
    """Also when several threads speak at once."""
    alone = english_voice.synthesize(SENTENCE).pcm
    with ThreadPoolExecutor(3) as pool:
        for speech in pool.map(english_voice.synthesize, [SENTENCE] * 6):
            np.testing.assert_array_equal(speech.pcm, alone)


def test_a_sentence_longer_than_the_model_takes_is_spoken_whole(english_voice: Voice) -> None:
    """No word is dropped."""
    text = "the little bird sang " * 60
    speech = english_voice.synthesize(text)
    assert len(speech.words) == 240
    assert all(word.end > word.start for word in speech.words)


def test_several_sentences_have_pauses_between_them(english_voice: Voice) -> None:
    """A pause of its own length, not the model's."""
    words = english_voice.synthesize("Here it is. Take it.").words
    assert 0.2 < words[3].start - words[2].end < 0.6


def test_phonemes_are_shared_among_words_that_are_read_as_several() -> None:
    """Every token goes to one word, in order."""
    alone = {"at": "at", "21": "twenti wan", "or": "or"}
    assert spread(["at", "21", "or"], "at twenti wan or", alone.__getitem__) == ["at ", "twenti wan ", "or "]


def test_a_language_without_a_voice_is_told() -> None:
    """The error lists those that have one."""
    with pytest.raises(DragomanError, match="no voice speaks 'de': choose one of en, es, fr, it, pt"):
        open_voice("de")


def test_an_unknown_voice_is_told() -> None:
    """The error lists those of the language."""
    with pytest.raises(DragomanError, match="no voice named 'nobody' speaks 'en': choose one of heart"):
        open_voice("en", "nobody")


def test_voices_are_listed() -> None:
    """Each with its languages."""
    assert {v.name for v in voices()} >= {"heart", "gongitsune", "kumo"}
    assert {code for v in voices() for code in v.languages} == {"en", "pt", "es", "fr", "it"}


def test_nothing_of_the_word_that_shapes_an_open_end_is_heard(english_voice: Voice, transcribe: Transcribe) -> None:
    """What keeps the tone up is cut off."""
    for text in ("I would like a red bicycle", "You could try making a stir fry", "The weather is nice today"):
        assert transcribe(english_voice.synthesize(text, final=False).pcm, "en").lower().count("and") == 0
