"""A pipecat pipeline with scripted ends: its own aggregators, model service and voice service, none on a network.

Import it where pipecat is known to be there.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from relay_scripted import ScriptedDrafter, Trusting, Written

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # pipecat's, of itself
    from openai.types.chat import ChatCompletionChunk
    from pipecat.frames.frames import EndFrame, Frame, LLMMessagesAppendFrame, StartFrame, TTSAudioRawFrame
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineWorker
    from pipecat.processors.aggregators.llm_context import LLMContext
    from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.services.openai.llm import OpenAILLMService
    from pipecat.services.settings import TTSSettings
    from pipecat.services.tts_service import TTSService
    from pipecat.turns.user_turn_strategies import UserTurnStrategies
    from pipecat.workers.runner import WorkerRunner

from dragoman.agent.llm.servers import Kind
from dragoman.agent.pipecat import relayed
from dragoman.agent.relay import Relay


def chunk(text: str) -> ChatCompletionChunk:
    choice = {"index": 0, "delta": {"content": text}}
    return ChatCompletionChunk(id="x", choices=[choice], created=0, model="small", object="chat.completion.chunk")


class ScriptedLLM(OpenAILLMService):
    """pipecat's own service, whose server is a script: the pieces of each reply; ``hold`` waits for ``go``."""

    def __init__(self, *replies: list[str], hold: bool = False) -> None:
        super().__init__(api_key="none", settings=OpenAILLMService.Settings(model="small"))
        self.replies = list(replies)
        self.read: list[list[dict]] = []
        self.contexts: list[LLMContext] = []
        self.go = asyncio.Event()
        if not hold:
            self.go.set()

    async def get_chat_completions(self, context: LLMContext) -> AsyncGenerator[ChatCompletionChunk]:
        self.contexts.append(context)
        self.read.append(list(context.get_messages()))
        return self._stream(self.replies.pop(0))

    async def _stream(self, pieces: list[str]) -> AsyncGenerator[ChatCompletionChunk]:
        await self.go.wait()
        for piece in pieces:
            if piece == "(broken)":
                raise ConnectionError("the server is gone")
            yield chunk(piece)


class ScriptedVoice(TTSService):
    """pipecat's own service, with a moment of silence for a sound; remembers what it was told to say."""

    def __init__(self) -> None:
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=24000,
            settings=TTSSettings(model=None, voice=None, language=None),
        )
        self.said: list[str] = []

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame]:
        self.said.append(text)
        yield TTSAudioRawFrame(audio=bytes(480), sample_rate=24000, num_channels=1, context_id=context_id)


class Seen(FrameProcessor):
    """Remembers what comes downstream, and lets a test wait for what it wants."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        self._news = asyncio.Condition()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM and not isinstance(frame, StartFrame):
            async with self._news:
                self.frames.append(frame)
                self._news.notify_all()
        await self.push_frame(frame, direction)

    def of(self, *kinds: type[Frame]) -> list[Frame]:
        return [frame for frame in self.frames if isinstance(frame, kinds)]

    async def until(self, wanted: Callable[[], bool]) -> None:
        """Wait until ``wanted``, which a frame that comes here makes true."""
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(wanted)


@dataclass
class Talk:
    """A running pipeline: ``before`` is behind the relay, ``after`` behind the voice, ``errors`` what was reported."""

    worker: PipelineWorker
    context: LLMContext
    drafter: ScriptedDrafter
    relay: Relay
    llm: ScriptedLLM
    voice: ScriptedVoice
    before: Seen
    after: Seen
    errors: list[str]

    async def say(self, text: str, role: str = "user") -> None:
        """A turn that is over."""
        await self.put(LLMMessagesAppendFrame([{"role": role, "content": text}], run_llm=True))

    async def put(self, frame: Frame) -> None:
        await self.worker.queue_frame(frame)


@asynccontextmanager
async def talking(
    llm: ScriptedLLM,
    server: Kind,
    *script: Written | Exception,
    trust: float = 0.9,
    drafter: ScriptedDrafter | None = None,
) -> AsyncIterator[Talk]:
    """A pipeline that runs; at the end all its tasks are over."""
    drafter = drafter or ScriptedDrafter(list(script))
    relay = Relay(drafter, Trusting(trust), late_s=10.0)
    context = LLMContext()
    # Turns are over when a test says so.
    turns = LLMUserAggregatorParams(user_turn_strategies=UserTurnStrategies(start=[], stop=[]))
    pair = LLMContextAggregatorPair(context, user_params=turns)
    voice, before, after = ScriptedVoice(), Seen(), Seen()
    pipeline = Pipeline([pair.user(), relayed(llm, relay, server), before, voice, after, pair.assistant()])
    async with running(pipeline) as (worker, errors):
        try:
            yield Talk(worker, context, drafter, relay, llm, voice, before, after, errors)
        finally:
            relay.close()


@asynccontextmanager
async def running(pipeline: Pipeline) -> AsyncIterator[tuple[PipelineWorker, list[str]]]:
    """Run it with pipecat's own runner; with it comes what it reports as errors."""
    worker = PipelineWorker(pipeline, cancel_on_idle_timeout=False, enable_rtvi=False)
    started, errors = asyncio.Event(), []

    @worker.event_handler("on_pipeline_started")
    async def on_started(_: PipelineWorker, __: Frame) -> None:
        started.set()

    @worker.event_handler("on_pipeline_error")
    async def on_error(_: PipelineWorker, frame: Frame) -> None:
        errors.append(str(frame.error))

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(20):
            await started.wait()
        yield worker, errors
        await worker.queue_frame(EndFrame())
        async with asyncio.timeout(20):
            await run
    finally:
        if not run.done():
            await worker.cancel()
            await run
