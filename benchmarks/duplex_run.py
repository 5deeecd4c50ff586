"""Every system over every conversation of a set, one after the other, so that all are judged on the same turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from dragoman.agent.drafter.endings import Endings
from dragoman.agent.drafter.runtime import DrafterRuntime
from dragoman.agent.duplex.conversation import Conversation
from dragoman.agent.duplex.features import Ear, Sounds, check_features, heard, load_features, make_features
from dragoman.agent.duplex.frames import FRAME_S
from dragoman.agent.duplex.policy import Policy
from dragoman.agent.duplex.runtime import DuplexRuntime
from dragoman.agent.duplex.store import load_conversations
from dragoman.agent.ports import Recognizer
from dragoman.asr.smart_turn import SmartTurn
from dragoman.audio.types import DragomanError
from dragoman.benchmarks.duplex_player import AHEAD_S, Case, Drafting, Foresight, frame_costs, perform, recognized
from dragoman.benchmarks.duplex_sets import Conversations
from dragoman.benchmarks.duplex_words import TurnWords
from dragoman.benchmarks.turn_systems import Asking, listen, silence
from dragoman.benchmarks.turn_taking import Judged, Played, judge, turns_of
from dragoman.benchmarks.world import Activity, World
from dragoman.models.catalog import Progress

DUPLEX: Final = "duplex"
SMART: Final = "smart-turn"
SILENCE: Final = "silence"

SILENCES_MS: Final = (200, 300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1400, 1600, 1800, 2000)

FORESEEN: Final = 0.5
"""Probability from which on the model is taken to say that the turn ends soon."""

READY_MS: Final = 160.0
"""A draft that stands when the frame after the begin is decided is ready."""


@dataclass
class Systems:
    """What is compared, loaded. ``policies``: by the name of the system, the duplex model's thresholds; ``drafter``
    writes first words, and tells with ``recognizer`` and ``endings`` whether a turn is whole by its words, where there
    are any; ``fed``: the model itself is given the recognizer's words, too.
    """

    silences_ms: Sequence[int] = ()
    fed: bool = False
    smart: SmartTurn | None = None
    ear: Ear | None = None
    runtime: DuplexRuntime | None = None
    policies: Mapping[str, Policy] = field(default_factory=dict)
    recognizer: Recognizer | None = None
    drafter: DrafterRuntime | None = None
    endings: Endings | None = None

    @property
    def reads(self) -> bool:
        """Whether the words of turns are heeded."""
        return self.recognizer is not None and self.drafter is not None and self.endings is not None

    def listening(self, world: World) -> TurnWords:
        """Who tells of the words of turns."""
        assert self.recognizer is not None
        assert self.drafter is not None
        assert self.endings is not None
        return TurnWords(world, self.recognizer, self.drafter, self.endings)


@dataclass
class Results:
    """What was found in a set so far."""

    name: str
    turns: int = 0
    judged: dict[str, list[Judged]] = field(default_factory=dict)
    frame_ms: dict[str, list[float]] = field(default_factory=dict)
    foresight: Foresight = field(default_factory=Foresight)
    drafts: list[Drafting] = field(default_factory=list)
    ready: list[bool] = field(default_factory=list)
    """Of each turn that the duplex model answered."""
    delay_s: float = 0.0
    """From the end of a frame to what the duplex model decides of it."""


def run_shard(systems: Systems, found: Results, of: Conversations, shard: Path, most: int, progress: Progress) -> None:
    """Run all systems over the conversations of a shard, while ``found`` has less than ``most`` turns.

    Raises ``DragomanError``.
    """
    cases = list(_cases(systems, of, shard, most - found.turns, progress))
    what = f"{of.name}: listening to {shard.stem}"
    for number, case in enumerate(cases):
        progress(what, number, len(cases))
        _baselines(systems, found, case)
    progress(what, len(cases), len(cases))
    if systems.runtime is not None and systems.ear is not None and cases:
        if not found.delay_s:
            found.frame_ms[DUPLEX] = frame_costs(systems.runtime, systems.ear, cases[0].conversation.pcm)
            found.delay_s = AHEAD_S + float(np.median(found.frame_ms[DUPLEX])) / 1000
        for name, policy in systems.policies.items():
            _duplex(systems, systems.runtime, found, cases, name, policy, progress)
    found.turns += sum(len(turns_of(case.conversation)) for case in cases)


def _cases(systems: Systems, of: Conversations, shard: Path, most: int, progress: Progress) -> Iterator[Case]:
    features = _features(systems.ear, of, shard, progress) if systems.ear is not None else None
    conversations = list(load_conversations(shard))
    none = Sounds(*2 * (np.zeros((0, 0, 0), np.float16),))
    what = f"{of.name}: preparing {shard.stem}"
    for number, recorded in enumerate(conversations):
        if most <= 0:
            break
        progress(what, number, len(conversations))
        conversation, echo = recorded.unechoed(), recorded.echo
        most -= len(turns_of(conversation))
        own: Sounds | Ear = systems.ear or none
        if systems.ear is not None and echo is None:
            own = features[number] if features is not None else heard(systems.ear, conversation.pcm)
        words: Sequence[Sequence[str]] = ()
        if systems.fed and systems.recognizer is not None:
            words = recognized(systems.recognizer, conversation.pcm)
        yield Case(conversation, own, echo, None if echo is not None else Activity.of(conversation.pcm), words)
    progress(what, 1, 1)


def _features(ear: Ear, of: Conversations, shard: Path, progress: Progress) -> list[Sounds] | None:
    """Those that are kept beside the shard; None where there are none of this ear.

    Nothing is written into a folder that somebody gave.
    """
    if of.own:
        what = f"{of.name}: hearing {shard.stem}"
        lengths = [conversation.frames for conversation in load_conversations(shard, sound=False)]
        done = 0.0

        def told(seconds: float) -> None:
            nonlocal done
            done += seconds / FRAME_S
            progress(what, round(done), sum(lengths))

        make_features(shard, ear, told)
    try:
        features = load_features(shard, ear.digest)
        check_features(
            shard, [conversation.frames for conversation in load_conversations(shard, sound=False)], features
        )
    except DragomanError:
        return None
    return features


def _baselines(systems: Systems, found: Results, case: Case) -> None:
    for number in systems.silences_ms:
        world = case.world()
        _add(found, f"{SILENCE}-{number}", case, listen(world, silence(number)))
        found.frame_ms.setdefault(f"{SILENCE}-{number}", []).extend(world.activity.frame_ms)
    if systems.smart is not None:
        world = case.world()
        asking = Asking(systems.smart, world.microphone.pcm)
        played = listen(world, asking)
        played.delay_s = float(np.median(asking.asked_ms)) / 1000 if asking.asked_ms else 0.0
        _add(found, SMART, case, played)
        found.frame_ms.setdefault(SMART, []).extend(_with_questions(world.activity, asking))


def _with_questions(activity: Activity, asking: Asking) -> list[float]:
    """The cost of each frame, with that of the question that was asked at it."""
    costs = list(activity.frame_ms)
    for (at, _), cost in zip(asking.answers, asking.asked_ms, strict=True):
        costs[min(len(costs) - 1, int(at / FRAME_S))] += cost
    return costs


def _duplex(
    systems: Systems,
    runtime: DuplexRuntime,
    found: Results,
    cases: Sequence[Case],
    name: str,
    policy: Policy,
    progress: Progress,
) -> None:
    what = f"{found.name}: {name} ({len(cases)} conversations)"
    progress(what, 0, len(cases))
    drafter = systems.drafter if name == DUPLEX else None
    performed = perform(runtime, cases, policy, drafter, systems.listening if systems.reads else None)
    for number, (case, done) in enumerate(zip(cases, performed, strict=True)):
        done.played.delay_s = found.delay_s
        _add(found, name, case, done.played)
        if name == DUPLEX:
            found.foresight.add(case.conversation, done.ends, FORESEEN)
            found.drafts += done.drafts.values()
            found.ready += _readiness(case.conversation, done.played, done.drafts)
        progress(what, number + 1, len(cases))


def _readiness(conversation: Conversation, played: Played, drafts: Mapping[float, Drafting]) -> Iterator[bool]:
    """Of each turn that was answered without a cut-off: whether its draft was ready."""
    outcomes = judge(conversation, played).outcomes
    for turn, outcome in zip(turns_of(conversation), outcomes, strict=True):
        if outcome.answered and drafts:
            made = drafts[min(at for at in played.begins if at >= turn.event.end_s - 1e-6)]
            yield made.whole and made.five_ms <= READY_MS


def _add(found: Results, name: str, case: Case, played: Played) -> None:
    conversation = case.conversation
    # Turns of one clip are alike, as those of one conversation are.
    group = conversation.user_voice if found.name == "human" else conversation.id
    found.judged.setdefault(name, []).append(judge(conversation, played, group))
