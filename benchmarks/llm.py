"""``python -m dragoman.benchmarks.llm``: how soon and how fast the embedded language model writes, and what it costs.

Cold: nothing of the prompt was read before. Warm: all but the user's turn was. Load on the machine is printed with it.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import psutil
import typer

from dragoman.agent.cli.output import JsonOption, console, emit, errors
from dragoman.agent.cli.progress import progress_of
from dragoman.agent.llm import open_responder, system_prompt
from dragoman.agent.ports import Message, Responder

_QUESTIONS = (
    "How can I fall asleep faster?",
    "What should I cook for dinner tonight?",
    "I have an interview tomorrow and I am nervous.",
    "Where is the Eiffel Tower?",
    "How do I fix a flat bicycle tire?",
    "Tell me something about the sea.",
)
_BEAT_S = 0.001


@dataclass(frozen=True, slots=True)
class Reply:
    """Milliseconds to the first token, and tokens per second after it."""

    first_ms: float
    rate: float


def run(
    only: Annotated[str, typer.Option(help="Which model: a name or a path.")] = "qwen2.5-coder-0.5b",
    limit: Annotated[int, typer.Option(help="Questions of each kind.")] = 6,
    threads: Annotated[int, typer.Option(help="The engine's threads.")] = 1,
    max_s: Annotated[float, typer.Option("--max-s", help="Stop asking after so many seconds.")] = 300.0,
    json: JsonOption = False,
) -> None:
    """Measure one language model."""
    with errors():
        summary = asyncio.run(_measure(only, limit, threads, max_s, json))
        if json:
            emit("summary", **summary)
        else:
            console.print("  ".join(f"{name} {value}" for name, value in summary.items()), soft_wrap=True)


async def _measure(only: str, limit: int, threads: int, max_s: float, json: bool) -> dict[str, float | str]:
    started = time.perf_counter()
    with progress_of(only, quiet=json) as progress:
        responder = await open_responder(only, progress, threads=threads, seed=1)
    loaded_s = time.perf_counter() - started
    gaps: list[float] = []
    heart = asyncio.create_task(_beat(gaps))
    cold, warm, resident = [], [], []
    # Another system prompt each time: nothing of a cold prompt is in the cache.
    for i, question in enumerate(_QUESTIONS[:limit]):
        if time.perf_counter() - started > max_s:
            break
        system = Message("system", f"Talk number {i}. {system_prompt('en')}")
        messages = [system, Message("user", question)]
        cold.append(await _ask(responder, messages))
        again = [*messages, Message("assistant", "Let me think about it."), Message("user", question)]
        await responder.warm(again[:-1])
        warm.append(await _ask(responder, again))
        resident.append(psutil.Process().memory_info().rss / 1e6)
    heart.cancel()
    await responder.aclose()
    return {
        "model": only,
        "load_s": round(loaded_s, 1),
        "cold_first_ms": round(statistics.median(reply.first_ms for reply in cold)),
        "warm_first_ms": round(statistics.median(reply.first_ms for reply in warm)),
        "tokens_per_s": round(statistics.median(reply.rate for reply in [*cold, *warm]), 1),
        "loop_gap_max_ms": round(max(gaps) * 1000, 1),
        "rss_first_mb": round(resident[0]),
        "rss_last_mb": round(resident[-1]),
        "machine_load": round(os.getloadavg()[0], 1),
    }


async def _beat(gaps: list[float]) -> None:
    """How much later than asked the event loop comes back."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(_BEAT_S)
        gaps.append(time.perf_counter() - asked - _BEAT_S)


async def _ask(responder: Responder, messages: Sequence[Message]) -> Reply:
    started = time.perf_counter()
    times = [time.perf_counter() async for _ in responder.reply(messages, max_tokens=40)]
    spent = times[-1] - times[0]
    return Reply((times[0] - started) * 1000, (len(times) - 1) / spent if spent else 0.0)


if __name__ == "__main__":
    typer.run(run)
