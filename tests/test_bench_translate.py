"""How interpretations are scored, and the command on scripted models."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import typer
from fakes import LoudIsSpeech
from typer.testing import CliRunner

from dragoman.audio.files import save
from dragoman.audio.types import INPUT_RATE, OUTPUT_RATE, Samples, Speech, Word
from dragoman.benchmarks import translate
from dragoman.benchmarks.interpreting import (
    Displayed,
    EarState,
    Engine,
    Interpreted,
    LocalAgreement,
    Policy,
    Recording,
    Retranslating,
    SentenceFinal,
    WaitK,
    interpret,
    listen,
)
from dragoman.benchmarks.translate_talk import talk
from dragoman.benchmarks.translation_clips import listed, spoken
from dragoman.benchmarks.translation_plots import draw
from dragoman.benchmarks.translation_scores import Tally, add, laal, ne
from dragoman.translation.retranslation import Stability
from dragoman.translation.segmenter import Segment

pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")

EACH = 0.4


def said(text: str) -> tuple[Word, ...]:
    return tuple(Word(w, i * EACH, (i + 1) * EACH) for i, w in enumerate(text.split()))


def recording(text: str) -> Recording:
    """Each word is heard at its end; the last one is not certain until the next."""
    words = said(text)
    states = [EarState(w.end, w.end, words[: i + 1], i, False) for i, w in enumerate(words)]
    end = words[-1].end
    return Recording(end, (*states, EarState(end + 0.1, end, words, len(words), True)), 0.5)


@dataclass
class Upper:
    """Capitals, and "!" behind every word while the sentence is open: each new word changes the one before."""

    pairs: frozenset[tuple[str, str]] = frozenset({("en", "pt"), ("pt", "en")})
    calls: list[str] = field(default_factory=list)

    def translate(self, text: str, source: str, target: str) -> str:
        self.calls.append(text)
        words = text.upper().split()
        return " ".join([*words[:-1], words[-1] if words[-1].endswith(".") else words[-1] + "!"])


TEXT = "one two three four five six seven eight nine ten."
FREE = Stability(hold_back=0, agreement=99)


def played(policy: Policy, text: str = TEXT, *, whole: bool = False) -> tuple[Interpreted, Upper]:
    translator = Upper()
    return interpret(recording(text), policy, Engine(translator, "en", "pt"), whole=whole), translator


def tallied(policy: Policy, *, whole: bool = False) -> Tally:
    tally = Tally()
    out, _ = played(policy, whole=whole)
    add(tally, recording(TEXT), out, TEXT.upper())
    return tally


@pytest.mark.parametrize(
    "policy", [lambda: Retranslating(FREE), Retranslating, SentenceFinal, lambda: WaitK(3), LocalAgreement]
)
def test_every_policy_ends_with_the_whole_text(policy: type[Retranslating]) -> None:
    """Whatever it showed before."""
    out, _ = played(policy(), f"{TEXT} {TEXT}")
    assert out.final.replace("!", "") == f"{TEXT} {TEXT}".upper()
    assert [segment.number for segment in out.segments] == [0, 1]
    assert [display.at for display in out.displayed] == sorted(display.at for display in out.displayed)


def test_offline_translates_each_sentence_once_when_all_is_said() -> None:
    """The ceiling."""
    out, translator = played(SentenceFinal(), f"{TEXT} {TEXT}", whole=True)
    assert translator.calls == [TEXT, TEXT]
    assert out.displayed[0].at > 20 * EACH


def test_retranslation_takes_back_what_it_showed() -> None:
    """A word for each new word; none where it shows only what is committed."""
    assert ne(tallied(Retranslating(FREE))) == pytest.approx(9 / 10)
    assert ne(tallied(Retranslating(Stability(hold_back=2, agreement=99)))) == 0.0
    assert ne(tallied(Retranslating(Stability(revise=False)))) == 0.0
    for policy in (WaitK(2), LocalAgreement(), SentenceFinal()):
        assert ne(tallied(policy)) == 0.0


def test_a_change_near_the_beginning_is_wide() -> None:
    """It takes back everything behind it."""
    tally = Tally()
    segment = Segment(0, said("a b c d e"))
    shown = [Displayed(1.0, 1.0, "A B C D"), Displayed(2.0, 2.0, "X B C D E")]
    add(tally, recording("a b c d e"), Interpreted(shown, [segment], {0: "X B C D E"}), "X B C D E")
    assert (tally.erased, tally.wide, tally.updates) == (4, 1, 2)
    assert tally.last == [pytest.approx(2.0 - (i + 1) * EACH) for i in range(5)]
    assert tally.first == [pytest.approx((1.0 if 0 < i < 4 else 2.0) - (i + 1) * EACH) for i in range(5)]


def test_wait_k_is_k_words_late() -> None:
    """One more for each word that is heard."""
    out, _ = played(WaitK(3))
    assert [display.text for display in out.displayed[:3]] == ["ONE", "ONE TWO", "ONE TWO THREE"]


def test_delays_wait_for_translations() -> None:
    """A policy that waits for the end is later than one that shows words as they come."""
    early, late = tallied(Retranslating(FREE)), tallied(SentenceFinal())
    assert max(early.first) < min(1.0, max(late.first))
    assert late.first == late.last


def test_lagging_counts_from_an_even_pace() -> None:
    """Words that come with their share of the source lag by one share; a translation at the end lags by all of it."""
    assert laal([1.0, 2.0, 3.0, 4.0], 4.0, 4) == pytest.approx(1.0)
    assert laal([4.0, 4.0, 4.0, 4.0], 4.0, 4) == pytest.approx(4.0)
    # A longer text than the reference is no advantage.
    assert laal([1.0, 2.0, 3.0, 4.0], 4.0, 2) == laal([1.0, 2.0, 3.0, 4.0], 4.0, 4)


@dataclass
class LoudEar:
    """Hears a word for each 0.4 s of sound."""

    seconds: float = 0.0

    def open(self, language: str | None = None) -> LoudEar:
        return LoudEar()

    def accept(self, pcm: Samples) -> None:
        self.seconds += len(pcm) / INPUT_RATE

    def partial(self) -> EarHeard:
        words = said(TEXT)[: int(self.seconds / EACH)]
        return EarHeard(" ".join(word.text for word in words), words, max(0, len(words) - 1))

    def ended(self) -> EarHeard:
        return EarHeard(TEXT, said(TEXT), 10)

    def refined(self) -> None:
        return None

    def final(self) -> EarHeard:
        return self.ended()


@dataclass
class EarHeard:
    text: str
    words: tuple[Word, ...]
    stable: int
    language: str = "en"


def test_the_ear_hears_in_steps() -> None:
    """A state for each 320 ms, and one at the end; none before its sound."""
    heard = listen(LoudEar(), np.zeros(4 * INPUT_RATE, np.float32), "en")  # type: ignore[arg-type]
    assert len(heard.states) == 14
    assert all(state.at >= state.heard for state in heard.states)
    assert [state.ended for state in heard.states] == [False] * 13 + [True]


@dataclass
class Slow:
    """A voice that takes some of the processor's time for each word, and speaks it in 0.3 s."""

    language: str = "pt"

    def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Speech:
        until = time.thread_time() + 0.01 * len(text.split())
        while time.thread_time() < until:
            pass
        return Speech(np.full(round(0.3 * len(text.split()) / rate * OUTPUT_RATE), 0.5, np.float32), ())


def test_a_talk_tells_who_takes_the_time() -> None:
    """Six sentences in half a minute, all interpreted and spoken: the parts make up the whole."""
    clip = np.concatenate([np.full(4 * INPUT_RATE, 0.5, np.float32), np.zeros(INPUT_RATE, np.float32)])
    parts = LoudEar(), Upper(), Slow()
    figures = talk([clip], "en", "pt", 0.5, parts, vad=LoudIsSpeech)  # type: ignore[arg-type]
    assert figures["segments"] == 6
    shares = figures["shares"]
    assert isinstance(shares, dict)
    assert set(shares) == {"ear", "translator", "voice", "rest"}
    assert shares["voice"] == pytest.approx(6 * 10 * 0.01 / 30, rel=0.2)
    assert figures["spoken_share"] == pytest.approx(6 * 10 * 0.3 / 30, rel=0.25)
    tau, both = figures["tau"], figures["tau_2_cores"]
    assert isinstance(tau, float)
    assert both == pytest.approx(tau / 2)
    assert tau == pytest.approx(sum(float(str(share)) for share in shares.values()))
    backlog = figures["backlog_max_s"]
    assert isinstance(backlog, float)
    assert 0.0 < backlog < 3.0


def test_a_talk_that_takes_too_long_tells_how_far_it_came() -> None:
    """Its figures are of that much."""
    clip = np.concatenate([np.full(4 * INPUT_RATE, 0.5, np.float32), np.zeros(INPUT_RATE, np.float32)])
    figures = talk([clip], "en", "pt", 30.0, (LoudEar(), Upper(), Slow()), max_s=0.0, vad=LoudIsSpeech)  # type: ignore[arg-type]
    minutes = figures["minutes"]
    assert isinstance(minutes, float)
    assert 0.0 < minutes < 1.0


@dataclass
class Parrot:
    """Foresees that the text is said again."""

    languages: frozenset[str] = frozenset({"en", "pt"})

    def predict(self, text: str, words: int) -> str:
        return " " + " ".join(text.split()[:words])


def test_what_is_foreseen_holds_back_what_it_would_change() -> None:
    """The mark behind the newest word: nothing of it was shown, so nothing is taken back."""
    engine = Engine(Upper(), "en", "pt", Parrot())
    out = interpret(recording(TEXT), Retranslating(Stability(agreement=99, foresee=2)), engine)
    tally = Tally()
    add(tally, recording(TEXT), out, TEXT.upper())
    assert ne(tally) == 0.0
    assert out.final == TEXT.upper()
    assert out.displayed[0].text == "ONE"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    save(folder / "a.wav", np.zeros(4 * INPUT_RATE, np.float32), INPUT_RATE)
    entries = [
        {"file": "a.wav", "lang": "en", "transcript": TEXT, "translation": {"pt": TEXT.upper()}},
        {"file": "a.wav", "lang": "pt-BR", "transcript": TEXT, "translation": {"en": TEXT.upper()}},
        {"file": "b.wav", "lang": "en", "transcript": TEXT},
        {"file": "c.wav", "lang": "de", "transcript": TEXT, "translation": {"en": TEXT}},
    ]
    (folder / "index.json").write_text(json.dumps(entries))
    return folder


def test_clips_without_a_translation_are_counted(data: Path) -> None:
    """And those of other pairs."""
    clips, skipped = listed(data)
    assert [(clip.source, clip.target) for clip in clips] == [("en", "pt"), ("pt", "en")]
    assert skipped == 2


def test_our_own_sentences_go_both_ways() -> None:
    """The translation of one is the text of the other."""
    made = spoken()
    assert {(clip.source, clip.target) for clip in made} == {("en", "pt"), ("pt", "en")}
    assert {clip.text for clip in made if clip.source == "en"} == {
        clip.reference for clip in made if clip.source == "pt"
    }


def test_the_command(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for every point, a summary with what was asked for, and two plots."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.setattr(translate, "open_recognizer", lambda name, lang, progress: LoudEar())
    monkeypatch.setattr(translate, "ENGINES", {"bergamot": Upper})
    monkeypatch.setattr(translate, "open_predictor", lambda source: Parrot())
    app = typer.Typer()
    app.callback()(lambda: None)
    translate.register(app)
    plots = tmp_path / "plots"
    done = CliRunner().invoke(
        app,
        ["translate", "--data", str(data), "--engine", "bergamot", "--json", "--plots", str(plots)],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    summary = lines[-1]
    assert (summary["type"], summary["skipped"]) == ("summary", 2)
    assert len(summary["results"]) == 2 * len(translate.POINTS) == len(lines) - 1
    wanted = (
        "engine policy pair clips chrf bleu first_shown_p50_s last_changed_p50_s ne wide_updates update_ms_20w tau "
        "backlog_max_s"
    ).split()
    assert all(set(wanted) <= set(result) for result in summary["results"])
    offline = [result for result in summary["results"] if result["policy"] == "offline"]
    assert [result["chrf"] for result in offline] == [pytest.approx(100.0)] * 2
    assert {path.name for path in plots.iterdir()} == {"quality-against-lag.png", "ne-against-lag.png"}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--only", "guess"], "no policy is called 'guess'"),
        (["--engine", "none"], "no translator is called 'none'"),
        (["--pair", "en-de"], "no pair is called 'en-de'"),
        (["--data", "nowhere"], "no usable list of clips"),
    ],
)
def test_bad_input_is_one_clear_line(args: list[str], says: str) -> None:
    """Before any model is loaded."""
    app = typer.Typer()
    app.callback()(lambda: None)
    translate.register(app)
    done = CliRunner().invoke(app, ["translate", *args], catch_exceptions=False)
    assert done.exit_code == 1
    assert says in done.stderr


def test_no_results_draw_nothing_wrong(tmp_path: Path) -> None:
    """Empty panels."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert len(draw([], tmp_path)) == 2
