"""The fast path as sessions share it: the real ear, and a small body or the shipped one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import pytest
from duplex_small import adapter, body
from texts import STORY

from dragoman.agent.config import open_turn_model
from dragoman.agent.duplex import graph
from dragoman.agent.duplex.catalog import open_duplex
from dragoman.agent.duplex.features import Ear, open_ear
from dragoman.agent.duplex.frames import FRAME, Control
from dragoman.agent.duplex.live import FrameStream, LiveDuplex
from dragoman.agent.duplex.runtime import Decided, DuplexRuntime
from dragoman.audio.types import INPUT_RATE, DragomanError, Samples


@pytest.fixture(scope="module")
def ear() -> Ear:
    return open_ear()


@pytest.fixture(scope="module")
def runtime(ear: Ear, tmp_path_factory: pytest.TempPathFactory) -> DuplexRuntime:
    small, folder = body(), tmp_path_factory.mktemp("live")
    graph.write(small, adapter(small, ear_width=ear.model.dims.width), folder, quantized=False)
    return DuplexRuntime(folder)


def noise(seed: int, frames: int) -> Samples:
    return (0.1 * np.random.default_rng(seed).standard_normal(frames * FRAME)).astype(np.float32)


async def listen(stream: FrameStream, pcm: Samples) -> list[Decided]:
    """Hear a sound to its end, in silence; every third frame brings a word."""
    out = []
    for k, start in enumerate(range(0, len(pcm), FRAME)):
        if k % 3 == 0:
            stream.read(["yes"])
        decided = await stream.frame(pcm[start : start + FRAME], sounding=k % 2 == 1)
        if decided is not None:
            stream.tell(Control.SIL)
            out.append(decided)
    return out


def test_sessions_that_are_computed_together_hear_the_same_as_alone(ear: Ear, runtime: DuplexRuntime) -> None:
    """Three at once give what each gives alone; the first frame, that the ear has not heard to its end, gives none."""
    sounds = [noise(seed, 12) for seed in range(3)]

    async def together(*some: Samples) -> list[list[Decided]]:
        path = LiveDuplex(runtime, ear)
        streams = [await path.open((("user", "yes"),)) for _ in some]
        found = await asyncio.gather(*(listen(stream, pcm) for stream, pcm in zip(streams, some, strict=True)))
        path.close()
        return found

    at_once = asyncio.run(together(*sounds))
    for alone, beside in zip([asyncio.run(together(pcm))[0] for pcm in sounds], at_once, strict=True):
        assert len(alone) == len(beside) == 11
        for one, other in zip(alone, beside, strict=True):
            np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)
    assert not np.allclose(at_once[0][-1].probabilities, at_once[1][-1].probabilities, atol=1e-4)


def test_a_frame_that_fails_fails_for_who_waits(ear: Ear, runtime: DuplexRuntime) -> None:
    """The error comes to the session whose frame it was, and the next frames are computed."""

    async def main() -> None:
        path = LiveDuplex(runtime, ear)
        stream = await path.open()
        await listen(stream, noise(1, 3))
        with pytest.raises(ValueError):
            await stream.frame(np.zeros((2, FRAME), np.float32), sounding=False)
        other = await path.open()
        assert len(await listen(other, noise(1, 4))) == 3
        together = await asyncio.gather(
            stream.frame(np.zeros((2, FRAME), np.float32), sounding=False),
            other.frame(noise(2, 1), sounding=False),
            return_exceptions=True,
        )
        assert [type(one) for one in together] == [ValueError, Decided]
        path.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("wanted", "language", "reason"), [("ear", "en", "auto, model, words"), ("model", "pt", "understands en alone")]
)
def test_what_cannot_take_turns_is_an_error(wanted: str, language: str, reason: str) -> None:
    """One line says what can be chosen."""
    with pytest.raises(DragomanError, match=reason):
        open_turn_model(wanted, language)


def test_words_take_turns_where_the_model_cannot() -> None:
    """In another language, or when they are asked to."""
    assert open_turn_model("words", "en") is None
    assert open_turn_model("auto", "pt") is None


def test_without_an_adapter_there_is_no_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``auto`` does without; who asks for the model is told how to train one."""
    monkeypatch.setattr("dragoman.agent.config.adapter_path", lambda: None)
    monkeypatch.setattr("dragoman.agent.duplex.catalog.adapter_path", lambda ear: None)
    assert open_turn_model("auto", "en") is None
    with pytest.raises(DragomanError, match="dragoman train duplex"):
        open_turn_model("model", "en")


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("takes_long")
def test_an_hour_is_like_a_minute(ear: Ear, spoken: Callable[..., Samples]) -> None:
    """One hour of talk: what is decided repeats with the sound, memory and work for a frame stay the same."""
    talk = np.concatenate([np.concatenate([spoken(text), np.zeros(INPUT_RATE, np.float32)]) for text in STORY])
    talk = np.resize(talk, 320 * FRAME)
    process = psutil.Process()

    async def main() -> tuple[list[list[float]], list[int], list[float]]:
        path = LiveDuplex(open_duplex(), ear)
        stream = await path.open()
        rounds, memory, work = [], [], []
        for _ in range(round(3600 * INPUT_RATE / len(talk))):
            began = time.process_time()
            rounds.append([float(decided.probabilities[1]) for decided in await listen(stream, talk)])
            work.append((time.process_time() - began) / len(rounds[-1]))
            memory.append(process.memory_info().rss)
            print(f"{len(rounds)} rounds, {memory[-1] / 1e6:.0f} MB, {1000 * work[-1]:.1f} ms a frame")
        path.close()
        return rounds, memory, work

    rounds, memory, work = asyncio.run(main())
    assert max(memory) < memory[5] + 30_000_000
    assert median(work[-10:]) < 1.3 * median(work[5:15])
    # The ear begins anew each half minute, at another moment of each round: rounds differ, but not more and more.
    apart = [float(np.abs(np.subtract(rounds[5], one)).mean()) for one in rounds[6:]]
    assert median(apart[-10:]) < 1.5 * median(apart[:10]) + 0.005
