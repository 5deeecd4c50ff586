"""The parts of a session on the reckoned machine: each model on a worker of its own, all on the same few cores."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dragoman.agent.drafter.live import LiveDrafter
from dragoman.agent.drafter.runtime import DrafterRuntime
from dragoman.agent.duplex.live import LiveDuplex
from dragoman.agent.llm.llamacpp import LlamaCppResponder
from dragoman.agent.parts import Parts
from dragoman.agent.ports import Synthesizer
from dragoman.audio.types import DragomanError
from dragoman.benchmarks.onset_brain import RecalledBrain, engine_clock
from dragoman.benchmarks.onset_cores import Bill, Cores, CoreWorker
from dragoman.benchmarks.onset_recall import Recall, RecalledDrafter, RecalledRecognizer, RecalledTurns, RecalledVoice


@dataclass(frozen=True)
class Machine:
    """Parts whose computing is reckoned, with the voice that they speak with."""

    parts: Parts
    voice: Synthesizer
    cores: Cores
    bill: Bill
    recall: Recall


async def reckoned(loaded: Parts) -> Machine:
    """Loaded models on a reckoned machine. Raises ``DragomanError`` where their processor time can't be told."""
    clock = await engine_clock(loaded.responder)
    cores, bill = Cores(), Bill()
    bill.others = clock
    recall = Recall(bill)

    def worker(*, yields: bool = False) -> CoreWorker:
        return CoreWorker(cores, bill, yields=yields)

    assert isinstance(loaded.responder, LlamaCppResponder)
    voice = RecalledVoice(await loaded.voice("en"), recall)
    parts = replace(
        loaded,
        recognizer=RecalledRecognizer(loaded.recognizer, recall),
        responder=RecalledBrain(loaded.responder, cores, recall, clock),
        hearing=worker(),
        refining=worker(yields=True),
        speaking=worker(),
        _voices={},
    )
    parts.keep({("en", None): voice})
    if loaded.turn_model is not None:
        if not isinstance(loaded.turn_model, LiveDuplex):
            raise DragomanError("only the fast path's own model of turn-taking can be reckoned")
        parts.turn_model = RecalledTurns(loaded.turn_model, recall, worker())
    if loaded.drafter is not None:
        if not isinstance(loaded.drafter, LiveDrafter) or not isinstance(loaded.drafter.runtime, DrafterRuntime):
            raise DragomanError("only the fast path's own drafter can be reckoned")
        parts.drafter = LiveDrafter(RecalledDrafter(loaded.drafter.runtime, recall), worker(), loaded.drafter.endings)
    return Machine(parts, voice, cores, bill, recall)
