"""The embedded language model: llama.cpp inside this process, through ``xllamacpp``.

The engine computes on its own thread and needs no lock of Python's; each request waits for its pieces on a worker
thread. The prompt is raw ChatML, so that a given beginning is continued as the model's own words.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Final

import xllamacpp

from dragoman.agent.llm.gguf import reply_opening
from dragoman.agent.llm.prefill import EXACTLY, Seam
from dragoman.agent.llm.prompts import BYTES_PER_TOKEN, TURN_END, chatml, trim
from dragoman.agent.llm.thinking import Thoughts
from dragoman.agent.ports import Message, Responder, unnoticed
from dragoman.audio.clock import busy
from dragoman.audio.types import DragomanError

_BATCH: Final = 64
"""Prompt tokens read at a time. A request can be cancelled, and another slot's token computed, between batches."""

_STAGE_S: Final = 1.0
"""So long a prompt is read at a time while others want the model, too."""

_GLANCE_S: Final = 0.05
"""How often a request that waits looks whether others are done."""

_STOP: Final = ("<|im_end|>", "<|im_start|>", "<|endoftext|>", "```")

_LIMITED: Final = ""
"""Stands for the end of a reply that may not be longer."""

_CLOSED: Final = "the language model is closed"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a word is drawn: little chance, little repetition; ``seed`` None takes a new one for each reply."""

    temperature: float = 0.3
    top_p: float = 0.9
    min_p: float = 0.05
    repeat_penalty: float = 1.1
    seed: int | None = None


@dataclass(slots=True)
class _Request:
    """One generation: pieces go to ``queue`` in the loop's thread; ``cancelled`` makes the engine drop it."""

    prompt: str
    max_tokens: int
    asker: _Conversation | None
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[str | DragomanError | _TooLong | None]
    cancelled: threading.Event
    waits: bool = True
    """The engine is not at it: it is to be served yet, or lets others go first."""
    read: float | None = None
    """Share of the prompt that is in the slot's cache; None: the engine has not begun."""

    @property
    def reads_ahead(self) -> bool:
        """Whether it is for the cache alone."""
        return self.max_tokens == 1

    def put(self, item: str | DragomanError | _TooLong | None) -> None:
        # A loop that is closed has no reader any more.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.queue.put_nowait, item)


@dataclass(frozen=True, slots=True)
class _TooLong:
    """The prompt has ``tokens``, more than the context holds."""

    tokens: int


@dataclass(slots=True)
class _Slot:
    """A cache of the engine's, and what was read into it last of a ``prompt``; whose that is, if that was said."""

    number: int
    prompt: str = ""
    owner: weakref.ref[_Conversation] | None = None

    def suits(self, request: _Request) -> tuple[int, int]:
        """How well; the larger the better. What another conversation may come back to is taken last."""
        owner = None if self.owner is None else self.owner()
        if owner is not None and owner is not request.asker:
            return 0, 0
        return 1 if owner is None else 2, self.holds(request.prompt)

    def holds(self, prompt: str) -> int:
        """How much of a prompt it knows: nothing where it is rather another conversation's."""
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self.prompt, prompt, strict=False)))
        return shared if 2 * shared >= len(self.prompt) else 0


def open_engine(path: Path, *, threads: int = 1, context: int = 4096, slots: int = 1) -> xllamacpp.Server:
    """Load a GGUF model: blocking, one to two seconds. Raises ``DragomanError``."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = context * slots
    params.n_parallel = slots
    params.n_batch = params.n_ubatch = _BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_prompt = True
    # The weights are repacked for the processor as they are read: a mapped file would stay beside that copy.
    params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    # The slots are the cache; a second one in memory would grow with the conversation.
    params.cache_ram_mib = 0
    # Whoever opens it warms it up with a real prompt; fitting is for GPUs.
    params.warmup = params.fit_params = False
    params.verbosity = -1
    # The engine also listens on a loopback port of its own choice: nobody else gets to use it.
    params.n_threads_http = 1
    params.api_keys = [secrets.token_hex(16)]
    params.endpoint_slots = params.ui = False
    try:
        engine = xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        raise DragomanError(f"the language model {path} does not load: {error}") from error
    # It comes back before its own thread has begun. One that is freed then misses the word to end, and freeing it
    # waits for ever: so nobody gets it before it has answered.
    engine.handle_completions({"prompt": " ", "max_tokens": 1})
    return engine


class LlamaCppResponder:
    """A ``Responder`` over one GGUF model that speaks ChatML. Shared by all sessions, on one event loop."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        context: int = 4096,
        slots: int = 2,
        sampling: Sampling | None = None,
    ) -> None:
        """Load the model: blocking, one to two seconds. ``context`` tokens for each of ``slots`` replies at a time.

        Raises ``DragomanError`` when the file is no GGUF model with ChatML, or does not load.
        """
        self._opening = reply_opening(path)
        self._engine = [open_engine(path, threads=threads, context=context, slots=slots)]
        self._context = context
        self._sampling = sampling or Sampling()
        self._workers = ThreadPoolExecutor(slots, thread_name_prefix="llm")
        self._active: dict[Future[None], _Request] = {}
        self._free = [_Slot(number) for number in range(slots)]
        """As many as workers; the one that was used last is the last."""
        self._taking = threading.Lock()
        self.watch: Callable[[], None] | None = None
        """Called on a worker's thread as each piece of a reply comes, for who measures what it took."""

    @property
    def longest(self) -> int:
        """See ``Bounded``: half of the context, the other half is for the instructions, what came before, the reply."""
        return self._context // 2 * BYTES_PER_TOKEN

    def reply(
        self,
        messages: Sequence[Message],
        *,
        prefix: str = "",
        max_tokens: int = 160,
        limited: Callable[[], None] = unnoticed,
    ) -> AsyncGenerator[str]:
        """See ``Responder.reply``. A history that is too long loses its oldest turns."""
        return self.replied(messages, prefix, max_tokens, limited, None)

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
        """See ``Responder.warm``. A reply that begins with the same prompt waits for it to end."""
        await self.warmed(messages, open_end, None)

    def conversation(self) -> Responder:
        """See ``Conversing``."""
        return _Conversation(self)

    async def replied(
        self,
        messages: Sequence[Message],
        prefix: str,
        max_tokens: int,
        limited: Callable[[], None],
        asker: _Conversation | None,
    ) -> AsyncGenerator[str]:
        """``reply`` for a conversation; None: for nobody in particular."""
        seam, thoughts = Seam(prefix, EXACTLY), Thoughts()
        max_tokens = min(max_tokens, self._context // 4)  # the rest is for what it answers
        budget = self._context - max_tokens - len(prefix.encode()) - 32
        for _ in range(3):
            tokens = 0
            async with contextlib.aclosing(
                self._generate(chatml(trim(messages, budget), self._opening + prefix), max_tokens, asker)
            ) as pieces:
                async for piece in pieces:
                    if isinstance(piece, _TooLong):
                        tokens = piece.tokens
                    elif piece == _LIMITED:
                        limited()
                    elif text := seam.feed(thoughts.feed(piece)):
                        yield text
            if not tokens:
                if text := seam.feed(thoughts.close()) + seam.close():
                    yield text
                return
            budget = budget * (self._context - max_tokens) // (tokens + _BATCH)
        raise DragomanError(f"the conversation does not fit in {self._context} tokens: shorten what is said")

    async def warmed(self, messages: Sequence[Message], open_end: bool, asker: _Conversation | None) -> None:
        """``warm`` for a conversation; None: for nobody in particular."""
        kept = trim(messages, self._context - 512)
        prompt = chatml(kept, self._opening if kept and kept[-1].role == "user" else None)
        if open_end:
            prompt = chatml(kept, None).removesuffix(TURN_END)
        async with contextlib.aclosing(self._generate(prompt, 1, asker)) as pieces:
            async for _ in pieces:
                pass

    async def aclose(self) -> None:
        """Stop what runs, wait for it, and free the model."""
        for request in list(self._active.values()):
            request.cancelled.set()
        await asyncio.to_thread(self._workers.shutdown, cancel_futures=True)
        # Where the last reference goes, the engine's thread is joined: not on the loop.
        await asyncio.to_thread(self._engine.clear)

    async def _generate(
        self, prompt: str, max_tokens: int, asker: _Conversation | None = None
    ) -> AsyncGenerator[str | _TooLong]:
        # A cancelled request keeps its slot, and with it the cache that this one wants, until the batch in hand is
        # done; the engine could not begin sooner anyway. A prompt that is being read ahead for this one is awaited too.
        awaited = [
            future
            for future, request in list(self._active.items())  # the engine's threads take out what is done
            if request.cancelled.is_set() or (request.reads_ahead and prompt.startswith(request.prompt))
        ]
        if awaited:
            with busy():
                await asyncio.wait([asyncio.wrap_future(future) for future in awaited])
        # The engine writes at most max_tokens pieces, so this bound is never met.
        queue: asyncio.Queue[str | DragomanError | _TooLong | None] = asyncio.Queue(max_tokens + 8)
        request = _Request(prompt, max_tokens, asker, asyncio.get_running_loop(), queue, threading.Event())
        try:
            future = self._workers.submit(self._run, request)
        except RuntimeError as error:
            raise DragomanError(_CLOSED) from error
        self._active[future] = request
        future.add_done_callback(self._served)
        try:
            while True:
                with busy():
                    item = await queue.get()
                if item is None:
                    return
                if isinstance(item, DragomanError):
                    raise item
                yield item
        finally:
            request.cancelled.set()
            future.cancel()

    def _served(self, future: Future[None]) -> None:
        request = self._active.pop(future)
        if future.cancelled():  # it had no turn: its reader is gone, or waits for a model that is closed
            request.put(DragomanError(_CLOSED))

    def _run(self, request: _Request) -> None:
        """Serve one request; on a worker thread until the engine is done with it.

        While the engine reads a prompt, nobody else gets more than a word now and then: a long one is read in stages,
        between which others have as much time. What was read stays in the slot.
        """
        with self._taking:
            slot = max(self._free, key=lambda slot: slot.suits(request))
            self._free.remove(slot)
            for other in self._free:
                if other.owner is not None and other.owner() is request.asker:
                    other.owner = None  # it was taken while the conversation's own was in use
            slot.owner = None if request.asker is None else weakref.ref(request.asker)
        try:
            while request.waits:
                request.waits, began = False, time.monotonic()
                self._engine[0].handle_completions(
                    self._body(request, slot), partial(self._receive, request, began + _STAGE_S)
                )
                self._let_others(request, time.monotonic() - began)
        except Exception as error:
            request.put(DragomanError(f"the language model failed: {error}"))
        finally:
            if request.read is not None:
                slot.prompt = request.prompt[: int(len(request.prompt) * request.read)]
            with self._taking:
                self._free.append(slot)
            # Who still listens to what was stopped waits for a model that is closed.
            request.put(DragomanError(_CLOSED) if request.cancelled.is_set() else None)

    def _body(self, request: _Request, slot: _Slot) -> dict[str, object]:
        sampling = self._sampling
        return {
            "prompt": request.prompt,
            "max_tokens": request.max_tokens,
            "stream": True,
            "cache_prompt": True,
            "id_slot": slot.number,
            # Progress comes between batches, which gives a chance to stop while the prompt is read.
            "return_progress": True,
            "stop": list(_STOP),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repeat_penalty,
            "seed": -1 if sampling.seed is None else sampling.seed,
        }

    def _receive(self, request: _Request, until: float, event: dict[str, object]) -> bool:
        """Pass on what the engine says. True makes it stop: nobody wants it any more, or it is others' turn."""
        match event:
            case {"error": {"n_prompt_tokens": int(tokens)}}:
                request.put(_TooLong(tokens))
            case {"error": error}:
                message = error.get("message", error) if isinstance(error, dict) else error
                request.put(DragomanError(f"the language model failed: {message}"))
            case {"choices": [{"text": str(text)}, *_]} if text and not request.cancelled.is_set():
                if self.watch is not None:
                    self.watch()
                request.put(text)
            case {"choices": [{"finish_reason": "length"}, *_]}:
                request.put(_LIMITED)
            case {"prompt_progress": {"total": int(total), "processed": int(processed)}}:
                request.read = processed / max(1, total)
                late = time.monotonic() >= until and total - processed > _BATCH
                request.waits = late and not request.cancelled.is_set() and self._wanted_by_others(request)
        return request.waits or request.cancelled.is_set()

    def _wanted_by_others(self, request: _Request) -> bool:
        """Whether somebody else uses the engine; who only reads ahead lets replies go first."""
        return any(
            not (other is request or other.waits or other.cancelled.is_set())
            and (request.reads_ahead or not other.reads_ahead)
            for other in list(self._active.values())
        )

    def _let_others(self, request: _Request, seconds: float) -> None:
        """Where it is their turn, wait until they are done, at most so long."""
        until = time.monotonic() + seconds
        while request.waits and time.monotonic() < until and self._wanted_by_others(request):
            if request.cancelled.wait(_GLANCE_S):
                request.waits = False


class _Conversation:
    """One conversation's way to the model."""

    def __init__(self, model: LlamaCppResponder) -> None:
        self._model = model

    def reply(
        self,
        messages: Sequence[Message],
        *,
        prefix: str = "",
        max_tokens: int = 160,
        limited: Callable[[], None] = unnoticed,
    ) -> AsyncGenerator[str]:
        """See ``Responder.reply``."""
        return self._model.replied(messages, prefix, max_tokens, limited, self)

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
        """See ``Responder.warm``."""
        await self._model.warmed(messages, open_end, self)

    async def aclose(self) -> None:
        """The model is its opener's."""
