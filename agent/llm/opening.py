"""From what a person writes after ``--llm`` to a responder."""

from __future__ import annotations

import asyncio

from dragoman.agent.llm.llamacpp import LlamaCppResponder, Sampling
from dragoman.agent.llm.openai_api import OpenAIResponder
from dragoman.agent.ports import Responder
from dragoman.models.catalog import Progress, brain_for_this_machine, resolve


async def open_responder(
    spec: str = "auto",
    progress: Progress | None = None,
    *,
    threads: int = 1,
    slots: int = 2,
    seed: int | None = None,
) -> Responder:
    """Open a language model; loading happens on a worker thread, so that the loop goes on.

    ``spec``: ``auto`` (the embedded one that fits this machine), a catalog name, a ``.gguf`` path, or the address of
    an OpenAI-compatible server, ``http://host:port[/v1][#model]``. ``threads`` and ``slots`` are the embedded
    engine's; ``seed`` makes replies repeatable. ``progress`` is called from the worker thread.
    Raises ``DragomanError``.
    """
    if spec.startswith(("http://", "https://")):
        return await OpenAIResponder.connect(spec, seed=seed)
    name = brain_for_this_machine() if spec == "auto" else spec

    def load() -> Responder:
        path = resolve(name, progress=progress, role="llm")
        if progress is not None:
            progress(f"loading {path.name}", 0, 1)
        responder = LlamaCppResponder(path, threads=threads, slots=slots, sampling=Sampling(seed=seed))
        if progress is not None:
            progress(f"loading {path.name}", 1, 1)
        return responder

    return await asyncio.to_thread(load)
