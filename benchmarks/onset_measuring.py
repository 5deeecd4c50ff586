"""From loaded models and turns to all figures of onset, with what is missing told instead of measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dragoman.agent.cli.output import Json
from dragoman.agent.config import Config, load_parts
from dragoman.agent.parts import Parts
from dragoman.agent.ports import Recognizer, Synthesizer
from dragoman.agent.verifying import open_ranker
from dragoman.asr import open_recognizer
from dragoman.audio.types import DragomanError
from dragoman.benchmarks.onset_bench import Bench, Plan
from dragoman.benchmarks.onset_figures import Group, Run, against, groups, row
from dragoman.benchmarks.onset_judging import Fit, seam_ratio
from dragoman.benchmarks.onset_modes import Mode, missing
from dragoman.benchmarks.onset_report import verifier_figures
from dragoman.benchmarks.onset_turns import HeldOut
from dragoman.models.catalog import Progress
from dragoman.verifier.labels import Ranking


@dataclass(frozen=True, slots=True)
class Models:
    """Names as for ``dragoman talk``; ``seed`` of the language model."""

    llm: str
    asr: str
    seed: int


@dataclass(frozen=True)
class Made:
    """All that was found."""

    groups: Sequence[Group]
    rows: Sequence[Mapping[str, Json]]
    against: Sequence[Mapping[str, Json]]
    verifier: Mapping[str, Json]
    notes: Sequence[str]

    def summary(self) -> dict[str, Json]:
        """As the last line of ``--json`` has it."""
        return {
            "results": list(self.rows),
            "against": list(self.against),
            "verifier": self.verifier,
            "notes": list(self.notes),
        }


async def measured(
    plan: Plan,
    turns: Sequence[HeldOut],
    models: Models,
    progress: Progress,
    told: Callable[[Run], None],
    *,
    named: bool,
) -> Made:
    """Load the models and run a plan; ``named``: its modes were asked for one by one. Raises ``DragomanError``."""
    # One slot: what a system reads of a turn must not lie ready in another for the next system.
    config = Config(recognizer=models.asr, llm=models.llm, slots=1, seed=models.seed)
    loaded = await load_parts(config, progress)
    try:
        plan, notes = measurable(plan, loaded, named=named)
        bench = Bench(loaded, turns, plan, progress, told, notes=notes)
        await bench.run()
        return made_of(bench, _ranking(progress, notes), _offline(progress), await loaded.voice("en"), progress)
    finally:
        await loaded.aclose()


def measurable(plan: Plan, loaded: Parts, *, named: bool) -> tuple[Plan, list[str]]:
    """The plan without the modes for which a model is missing, and notes that say so. Raises ``DragomanError`` where
    they were ``named``, or where nothing is left to tune ``cascade-vad`` by.
    """
    reasons = {mode: reason for mode in plan.modes if (reason := missing(mode, loaded))}
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
    bench: Bench, ranking: Ranking | None, offline: Recognizer | None, voice: Synthesizer, progress: Progress
) -> Made:
    """The figures of all runs. ``ranking`` None: no quality; ``offline`` None: nothing is listened to."""
    hits: dict[Mode, Mapping[str, bool]] = {}
    if ranking is not None:
        fit = Fit(bench.turns, ranking)
        for mode in bench.plan.modes:
            hits[mode] = fit.hits(
                {run.turn.name: run.take.text for run in bench.runs if run.system.mode == mode and run.take.whole}
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
    return Made(found, rows, compared, verifier_figures(bench.loaded.judge, judged), bench.notes)


def _ranking(progress: Progress, notes: list[str]) -> Ranking | None:
    try:
        return open_ranker(progress=progress)
    except DragomanError as error:
        notes.append(f"quality is left out: {error}")
        return None


def _offline(progress: Progress) -> Recognizer:
    return open_recognizer("tiny.en", "en", progress=progress)
