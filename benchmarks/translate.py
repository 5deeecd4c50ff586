"""Live interpretation: quality, delay, flicker and load of re-translation and of its rivals.

``dragoman bench translate --data DIR``. The causal ear hears each clip once, in steps of 320 ms; what it heard when is
then played to every policy on the virtual clock, which advances by the processor's time on one thread: ear and
translator have a core each. All policies so translate the same text. ``offline`` translates it when all is said, and
``chrf_share`` is a policy's chrF as a share of that. Delays count from the end of the source word to the word as it was
first shown, and as it last changed; ``ne`` is words taken back per word of the final text. Points that foresee hold
back what the predicted continuation of the source would change; the prediction's time is the translator's. Needs
sacrebleu; plots need matplotlib.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from statistics import fmean, median
from typing import Annotated, Final

import numpy as np
import typer

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.llm.prediction import open_predictor
from dragoman.asr import open_recognizer
from dragoman.audio.types import DragomanError, Json
from dragoman.benchmarks.before import measured, pictures, require
from dragoman.benchmarks.interpreting import (
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
from dragoman.benchmarks.scoring import percentile
from dragoman.benchmarks.translation_clips import PAIRS, BilingualClip, listed, spoken
from dragoman.benchmarks.translation_scores import Tally, add, ne, quality
from dragoman.translation import BergamotTranslator, LearnedTranslator, open_translator
from dragoman.translation.learned import KINDS
from dragoman.translation.prediction import Predictor
from dragoman.translation.retranslation import Stability
from dragoman.translation.steering import Translator
from dragoman.tts import open_voice

EARS: Final = {"en": "causal-tiny.en", "pt": "causal-base"}
_RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True)
class Point:
    """A policy with its settings; ``default``: what the interpreter uses."""

    policy: str
    label: str
    make: Callable[[], Policy]
    whole: bool = False
    """It hears nothing before the end."""
    foresees: bool = False
    """It needs a predictor."""


def _retranslating(label: str, stability: Stability, policy: str = "re-translation") -> Point:
    return Point(policy, label, lambda: Retranslating(stability), foresees=stability.foresee > 0)


NEVER: Final = 99
"""An agreement that is never reached: nothing is committed before the end."""
POINTS: Final = (
    Point("offline", "", SentenceFinal, whole=True),
    _retranslating("default", Stability()),
    _retranslating("plain", Stability(bias=0.0, hold_back=0, agreement=NEVER)),
    _retranslating("bias 0.2", Stability(hold_back=0, agreement=NEVER)),
    _retranslating("mask 6", Stability(bias=0.0, agreement=NEVER)),
    _retranslating("bias 0.2, mask 6", Stability(agreement=NEVER)),
    _retranslating("mask 3", Stability(hold_back=3)),
    _retranslating("mask 5", Stability(hold_back=5)),
    _retranslating("mask 8", Stability(hold_back=8, behind=8)),
    _retranslating("foresee 3", Stability(foresee=3)),
    _retranslating("foresee 6", Stability(foresee=6)),
    _retranslating("behind 4", Stability(revise=False, behind=4), "append-only"),
    _retranslating("behind 6", Stability(revise=False, behind=6), "append-only"),
    Point("wait-k", "k 3", lambda: WaitK(3)),
    Point("wait-k", "k 5", lambda: WaitK(5)),
    Point("wait-k", "k 7", lambda: WaitK(7)),
    Point("local-agreement", "", LocalAgreement),
    Point("sentence-final", "", SentenceFinal),
)
POLICIES: Final = tuple(dict.fromkeys(point.policy for point in POINTS))
ENGINES: Final[dict[str, Callable[[], Translator]]] = {
    "bergamot": BergamotTranslator,
    **{kind: partial(LearnedTranslator, kind) for kind in KINDS},
}


def register(parent: typer.Typer) -> None:
    """Add the command to the group of benchmarks."""
    parent.command("translate")(measure)


def measure(
    data: Annotated[
        Path | None, typer.Option(help="Folder with index.json and its sound files; none: a few sentences of our own.")
    ] = None,
    engine: Annotated[str, typer.Option(help="Translators, separated by commas: bergamot, nar, ...")] = "bergamot,nar",
    pair: Annotated[str, typer.Option(help="en-pt or pt-en; both where neither is named.")] = "",
    only: Annotated[str, typer.Option(help="Policies, separated by commas.")] = ",".join(POLICIES),
    limit: Annotated[int, typer.Option(min=1, help="At most so many clips of a pair, drawn by seed.")] = 24,
    max_s: Annotated[float, typer.Option(help="Start nothing after so many seconds; a talk ends then.")] = 1100,
    minutes: Annotated[
        float, typer.Option("--talk", min=0.0, help="Instead: a talk of so many minutes, interpreted aloud.")
    ] = 0.0,
    real: Annotated[bool, typer.Option("--real", help="With --talk: in real time.")] = False,
    plots: Annotated[Path | None, typer.Option(help="Folder for the plots, as PNG.")] = None,
    json: JsonOption = False,
) -> None:
    """Compare re-translation with policies that only append, and with the offline translation."""
    with errors():
        engines = _chosen(engine, tuple(ENGINES), "translator")
        policies = _chosen(only, POLICIES, "policy")
        pairs = _chosen(pair, tuple(map("-".join, PAIRS)), "pair")
        clips, skipped = listed(data) if data else (spoken(), 0)
        if pairs:
            clips = [clip for clip in clips if f"{clip.source}-{clip.target}" in pairs]
        if not clips:
            raise DragomanError(f"{data}: no clip has a translation between English and Portuguese")
        if minutes:
            _talks(clips, minutes, real, max_s, json)
            return
        require("sacrebleu")
        pictures(plots)
        deadline = time.monotonic() + max_s
        results: list[dict[str, Json]] = []
        for source, target in PAIRS:
            mine = [clip for clip in clips if (clip.source, clip.target) == (source, target)]
            mine = sorted(Random(1).sample(mine, min(limit, len(mine))), key=lambda clip: clip.name)
            heard = _heard(source, mine, deadline, json)
            for name in engines:
                translator = ENGINES[name]()
                if (source, target) not in translator.pairs:
                    continue
                translator.translate("1.", source, target)
                run = Engine(translator, source, target, _predictor(source) if "re-translation" in policies else None)
                for result in _results(run, name, policies, mine[: len(heard)], heard, deadline):
                    results.append(result)
                    console.print(_line(result), soft_wrap=True)
                    if json:
                        emit("result", **result)
        measured(results, deadline)
        if plots is not None:
            from dragoman.benchmarks.translation_plots import draw

            for path in draw(results, plots):
                console.print(f"[dim]{path}[/]")
        if json:
            emit("summary", results=list[Json](results), skipped=skipped)
        else:
            for result in results:
                print(_line(result))


def _chosen(wanted: str, known: tuple[str, ...], what: str) -> tuple[str, ...]:
    names = tuple(name for name in wanted.split(",") if name)
    if unknown := set(names) - set(known):
        raise DragomanError(f"no {what} is called {sorted(unknown)[0]!r}: there are {', '.join(known)}")
    return names


def _talks(clips: list[BilingualClip], minutes: float, real: bool, max_s: float, json: bool) -> None:
    """The whole chain, aloud, for each pair."""
    from dragoman.benchmarks.translate_talk import talk

    results: list[Json] = []
    deadline = time.monotonic() + max_s
    for source, target in PAIRS:
        mine = [clip for clip in clips if (clip.source, clip.target) == (source, target)]
        if mine and time.monotonic() < deadline:
            parts = open_recognizer(EARS[source], source), open_translator(source, target), open_voice(target)
            parts[2].warm()
            with console.status(f"interpreting {minutes:g} minutes ({source} to {target})"):
                sounds = [clip.sound() for clip in mine]
                left = deadline - time.monotonic()
                results.append(talk(sounds, source, target, minutes, parts, real=real, max_s=left))
            console.print(results[-1])
    measured(results, deadline)
    if json:
        emit("summary", talks=results)


def _predictor(source: str) -> Predictor | None:
    """What continues the source; without it points that foresee are left out, and that is told."""
    try:
        return open_predictor(source)
    except DragomanError as error:
        console.print(f"nothing is foreseen: {error}", style="yellow", markup=False, soft_wrap=True)
        return None


def _heard(source: str, clips: list[BilingualClip], deadline: float, quiet: bool) -> list[Recording]:
    """What the ear makes of the clips: of fewer where the time is up."""
    if not clips:
        return []
    with progress_of(f"listening ({source})", quiet) as progress:
        recognizer = open_recognizer(EARS[source], source, progress=progress)
        heard = []
        for index, clip in enumerate(clips):
            if time.monotonic() > deadline:
                break
            progress(f"listening to {clip.name}", index, len(clips))
            heard.append(listen(recognizer, clip.sound(), source))
        progress("listening", len(clips), len(clips))
    return heard


def _results(
    engine: Engine,
    name: str,
    policies: tuple[str, ...],
    clips: list[BilingualClip],
    heard: list[Recording],
    deadline: float,
) -> Iterator[dict[str, Json]]:
    """One for each point of each policy. The offline translation is always made: the others are compared with it."""
    ceiling: float | None = None
    for point in POINTS:
        if not heard or time.monotonic() > deadline or not (point.policy in policies or point.whole):
            continue
        if point.foresees and engine.predictor is None:
            continue
        tally = Tally()
        for clip, recording in zip(clips, heard, strict=True):
            out: Interpreted = interpret(recording, point.make(), engine, whole=point.whole)
            add(tally, recording, out, clip.reference)
        result = _scored(name, engine, point, tally, ceiling)
        if point.whole:
            ceiling = float(str(result["chrf"]))
            result["chrf_share"] = 1.0
        if point.policy in policies:
            yield result


def _scored(name: str, engine: Engine, point: Point, tally: Tally, ceiling: float | None) -> dict[str, Json]:
    chrf, bleu = quality(tally.finals, tally.references)
    costs = [1000 * seconds for words, seconds in tally.costs if 18 <= words <= 22]
    low, high = _interval(tally.last)
    return {
        "engine": name,
        "policy": point.policy,
        "point": point.label,
        "pair": f"{engine.source}-{engine.target}",
        "clips": len(tally.finals),
        "chrf": chrf,
        "bleu": bleu,
        "chrf_share": chrf / ceiling if ceiling else None,
        "midway_chrf": fmean(tally.midway) if tally.midway else None,
        "first_shown_p50_s": percentile(tally.first, 50),
        "first_shown_p90_s": percentile(tally.first, 90),
        "last_changed_p50_s": percentile(tally.last, 50),
        "last_changed_p50_ci95": [low, high],
        "last_changed_p90_s": percentile(tally.last, 90),
        "ne": ne(tally),
        "wide_updates": tally.wide / max(1, tally.updates),
        "laal_s": fmean(tally.laal) if tally.laal and not tally.erased else None,
        "update_ms_20w": median(costs) if costs else None,
        "tau": tally.compute / tally.seconds,
        "backlog_max_s": max(tally.backlog, default=0.0),
    }


def _interval(values: list[float]) -> tuple[float | None, float | None]:
    """95 % of the median, by bootstrap over words."""
    if not values:
        return None, None
    draws = np.random.default_rng(0).choice(np.asarray(values), (_RESAMPLES, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), (2.5, 97.5))
    return float(low), float(high)


def _line(result: dict[str, Json]) -> str:
    def number(name: str, form: str) -> str:
        value = result[name]
        return format(value, form) if isinstance(value, (int, float)) else "-"

    parts = (
        f"{result['engine']} {result['pair']} {result['policy']!s:15} {result['point']!s:16}",
        f"chrF {number('chrf', '.1f')} ({number('chrf_share', '.0%')}) BLEU {number('bleu', '.1f')}",
        f"first {number('first_shown_p50_s', '.2f')} last {number('last_changed_p50_s', '.2f')} s",
        f"(P90 {number('last_changed_p90_s', '.2f')})",
        f"NE {number('ne', '.2f')} wide {number('wide_updates', '.0%')}",
        f"LAAL {number('laal_s', '.2f')}",
        f"{number('update_ms_20w', '.0f')} ms tau {number('tau', '.2f')} backlog {number('backlog_max_s', '.2f')} s",
    )
    return "  ".join(parts)
