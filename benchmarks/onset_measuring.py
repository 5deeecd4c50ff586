"""From models and turns to all figures of onset, with what is missing told instead of measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from dragoman.agent.drafter.catalog import adapter_path as drafter_path
from dragoman.agent.openings import Judge
from dragoman.agent.ports import Recognizer, Synthesizer
from dragoman.agent.verifying import open_ranker, open_verifier, verifier_path
from dragoman.asr import open_recognizer
from dragoman.asr.vad import SileroVad
from dragoman.audio.types import DragomanError, Json
from dragoman.benchmarks.onset_bench import Bench, Plan
from dragoman.benchmarks.onset_figures import Group, Run, against, groups, row
from dragoman.benchmarks.onset_judging import Fit, seam_ratio
from dragoman.benchmarks.onset_modes import Mode, System, missing
from dragoman.benchmarks.onset_pool import Pool
from dragoman.benchmarks.onset_probes import answers, spoken
from dragoman.benchmarks.onset_report import verifier_figures
from dragoman.benchmarks.onset_taking import Here, Job, Models, here, in_real_time, two_cores
from dragoman.benchmarks.onset_turns import HeldOut
from dragoman.models.catalog import Progress
from dragoman.models.store import silent
from dragoman.tts import open_voice
from dragoman.verifier.labels import Ranking


@dataclass(frozen=True)
class Made:
    """All that was found."""

    groups: Sequence[Group]
    rows: Sequence[Mapping[str, Json]]
    against: Sequence[Mapping[str, Json]]
    verifier: Mapping[str, Json]
    notes: list[str]
    probes: Mapping[str, Json] = field(default_factory=dict)

    def summary(self) -> dict[str, Json]:
        """As the last line of ``--json`` has it."""
        return {
            "results": list(self.rows),
            "against": list(self.against),
            "verifier": self.verifier,
            "probes": self.probes,
            "notes": list(self.notes),
        }


def measured(
    plan: Plan,
    turns: Sequence[HeldOut],
    models: Models,
    progress: Progress,
    told: Callable[[Run], None],
    *,
    named: bool,
    processes: int,
    probes: int = 0,
) -> Made:
    """Run a plan with so many ``probes``; ``named``: its modes were asked for one by one. Raises ``DragomanError``."""
    first_words = drafter_path("en") is not None and verifier_path("en") is not None
    plan, notes = measurable(plan, first_words=first_words, named=named)

    async def loaded() -> Here:
        return Here(await models.load(progress))

    def real(jobs: Iterator[Job]) -> Iterator[Sequence[Run]]:
        pool.close()  # its memory and its cores are wanted
        return in_real_time(loaded, jobs, two_cores)

    voice = open_voice("en", progress=progress)
    asked = spoken(voice, probes)
    pool = Pool(partial(here, models, silent), processes)
    try:
        bench = Bench(pool, turns, plan, SileroVad, progress, real, told, [turn for _, turn in asked], notes=notes)
        bench.run()
    finally:
        pool.close()
    judge = open_verifier("en") if first_words else None
    offline = partial(open_recognizer, "tiny.en", "en", progress=progress)
    made = made_of(bench, _ranking(progress, notes), offline(), voice, judge, progress)
    return replace(made, probes=answers(asked, bench.probed))


def measurable(plan: Plan, *, first_words: bool, named: bool) -> tuple[Plan, list[str]]:
    """The plan without the modes for which a model is missing, and notes that say so. ``first_words``: there are a
    drafter and its verifier. Raises ``DragomanError`` where they were ``named``, or where nothing is left to tune
    ``cascade-vad`` by.
    """
    reasons = {mode: reason for mode in plan.modes if (reason := missing(mode, first_words=first_words))}
    if reasons and named:
        mode, reason = next(iter(reasons.items()))
        raise DragomanError(f"{mode} can't be measured: {reason}")
    modes = tuple(mode for mode in plan.modes if mode not in reasons)
    if not {"relay", "cascade-same"} & {*modes}:
        raise DragomanError(
            "cascade-vad is tuned to the cut-off rate of relay or of cascade-same: name one of them, too"
        )
    return replace(plan, modes=modes), [f"{mode} is left out: {reason}" for mode, reason in reasons.items()]


def made_of(
    bench: Bench,
    ranking: Ranking | None,
    offline: Recognizer | None,
    voice: Synthesizer,
    judge: Judge | None,
    progress: Progress,
) -> Made:
    """The figures of all runs. ``ranking`` None: no quality; ``offline`` None: nothing is listened to."""
    hits: dict[Mode, Mapping[str, float]] = {}
    if ranking is not None:
        fit = Fit(bench.turns, ranking)
        for mode in bench.plan.modes:
            hits[mode] = fit.hits(
                {
                    run.turn.name: run.take.text
                    for run in bench.runs
                    if run.system == System(mode) and run.clock == "virtual" and run.take.whole
                }
            )
    spoken = [(run.take.text, run.take.speech) for run in bench.runs if len(run.take.speech)]
    ratio = None if offline is None else seam_ratio(spoken, voice, offline, progress)
    found = groups(bench.runs, hits)
    rows = []
    for number, group in enumerate(found):
        progress("drawing intervals", number, len(found))
        listened = group.system.mode == "relay" and group.clock == "virtual" and not group.system.delay_s
        rows.append(row(group, ratio if listened else None))
    compared = against(found)
    progress("drawing intervals", 1, 1)
    judged = [second for run in bench.runs for second in run.judge_s]
    return Made(found, rows, compared, verifier_figures(judge, judged), bench.notes)


def _ranking(progress: Progress, notes: list[str]) -> Ranking | None:
    try:
        return open_ranker(progress=progress)
    except DragomanError as error:
        notes.append(f"quality is left out: {error}")
        return None
