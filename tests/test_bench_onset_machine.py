"""The reckoned machine of the benchmark of onset: how cores are shared, and that what is recalled is what was said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any, cast

import numpy as np
import pytest

from dragoman.agent.llm.llamacpp import LlamaCppResponder
from dragoman.agent.ports import Message
from dragoman.audio.clock import run_virtual
from dragoman.benchmarks.onset_brain import RecalledBrain
from dragoman.benchmarks.onset_cores import Bill, Cores, CoreWorker
from dragoman.benchmarks.onset_recall import Recall, RecalledRecognizer, RecalledVoice
from dragoman.tts import Voice

from .fakes import ScriptedRecognizer, ToneVoice, speech


def timed(*work: tuple[float, float, bool], count: int = 2) -> list[float]:
    """When each piece of work (begun at, seconds, yields) is done."""

    async def main() -> list[float]:
        cores, loop = Cores(count), asyncio.get_running_loop()

        async def one(at: float, seconds: float, yields: bool) -> float:
            await asyncio.sleep(at)
            await cores.work(seconds, yields=yields)
            return loop.time()

        return list(await asyncio.gather(*(one(*some) for some in work)))

    return run_virtual(main(), measured=False)


def test_as_many_as_there_are_cores_do_not_hinder_each_other() -> None:
    """And a third one takes from both."""
    assert timed((0, 1, False), (0, 2, False)) == pytest.approx([1, 2])
    assert timed((0, 1, False), (0, 1, False), (0, 1, False)) == pytest.approx([1.5, 1.5, 1.5])
    # Alone until 1, with two others until they have a third of their share less.
    assert timed((0, 2, False), (1, 2, False), (1, 2, False)) == pytest.approx([2.5, 3.5, 3.5], abs=0.01)


def test_who_yields_gets_what_is_left() -> None:
    """A free core as a whole; beside two others a tenth."""
    assert timed((0, 1, False), (0, 1, True)) == pytest.approx([1, 1])
    first, second, later = timed((0, 1, False), (0, 1, False), (0, 0.5, True))
    assert first == second == pytest.approx(1.05, abs=0.01)
    assert later == pytest.approx(1.05 + 0.5 - 0.107, abs=0.02)


def test_whoever_stops_waiting_does_not_stop_the_work() -> None:
    """What comes behind it on the same worker waits for it."""

    async def main() -> float:
        cores, bill = Cores(1), Bill()
        worker = CoreWorker(cores, bill)
        first = asyncio.create_task(worker.run(bill.add, 2.0))
        await asyncio.sleep(0.5)
        first.cancel()
        await worker.run(bill.add, 1.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main(), measured=False) == pytest.approx(3, abs=0.05)


def test_what_a_worker_raises_is_raised() -> None:
    """And the next call is served."""

    async def main() -> int:
        worker = CoreWorker(Cores(), Bill())

        def fail() -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await worker.run(fail)
        return await worker.run(lambda: 7)

    assert run_virtual(main(), measured=False) == 7


def burn(seconds: float) -> None:
    begun = time.process_time()
    while time.process_time() < begun + seconds:
        np.ones(1000).sum()


def test_a_bill_counts_what_is_recalled_and_not_what_is_free() -> None:
    """Calls within calls, too."""
    bill = Bill()

    def call() -> None:
        bill.add(1.0)
        with bill.free():
            burn(0.05)
        assert bill.of(lambda: bill.add(2.0))[1] == pytest.approx(2, abs=0.02)

    assert bill.of(call)[1] == pytest.approx(3, abs=0.02)


class Slow:
    """A voice that computes."""

    language = "en"
    asked = 0

    def synthesize(self, text: str, *, rate: float = 1.0, final: bool = True) -> Any:
        self.asked += 1
        burn(0.03)
        return ToneVoice().synthesize(text)


def test_what_was_said_once_is_said_again_at_its_cost() -> None:
    """For the same turn; another turn asks anew."""
    bill = Bill()
    recall, inner = Recall(bill), Slow()
    voice = RecalledVoice(cast("Voice", inner), recall)
    recall.turn("a")
    (first, cost), (second, again) = (bill.of(lambda: voice.synthesize("Well.")) for _ in range(2))
    assert first is second
    assert inner.asked == 1
    assert cost >= 0.03
    assert again == pytest.approx(cost, abs=0.01)
    bill.of(lambda: voice.synthesize("No."))
    recall.turn("b")
    bill.of(lambda: voice.synthesize("Well."))
    assert inner.asked == 3


def test_an_ear_that_is_asked_something_new_has_heard_all_before() -> None:
    """The first stream's answers are recalled as far as the second hears and asks the same."""
    recall = Recall(Bill())
    recall.turn("a")
    recognizer = RecalledRecognizer(ScriptedRecognizer(["who wrote it"]), recall)
    sound = speech((0.0, 2.0), seconds=2)
    heard = []
    for pieces in ([8000, 16000, 24000], [8000, 16000, 32000]):
        stream, start, said = recognizer.open("en"), 0, []
        for end in pieces:
            stream.accept(sound[start:end])
            start = end
            said.append(stream.partial().text)
        heard.append((said, stream.ended().text))
    assert heard[0][0][:2] == heard[1][0][:2]
    assert heard[0][1] == heard[1][1]
    assert recall.known == 2


class Letters:
    """A language model that writes the letters of the alphabet; each costs a tenth of a second, a prompt's letter that
    it has not read a hundredth. Each time that it begins anew it writes others, and it goes on from what it is given.
    """

    def __init__(self) -> None:
        self.clock = 0.0
        self.watch: Any = None
        self.prompts: list[str] = []
        self._read = ""
        self._alphabets = ["vwxyz", "klmno", "abcde"]

    def _reads(self, messages: Sequence[Message], prefix: str) -> None:
        prompt = "".join(message.content for message in messages) + prefix
        same = next((i for i, (a, b) in enumerate(zip(prompt, self._read, strict=False)) if a != b), None)
        new = len(prompt) - (min(len(prompt), len(self._read)) if same is None else same)
        self.clock += 0.01 * new
        self.prompts.append(prompt)
        self._read = prompt

    async def reply(
        self, messages: Sequence[Message], *, prefix: str = "", max_tokens: int = 160
    ) -> AsyncGenerator[str, None]:
        self._reads(messages, prefix)
        letters = self._alphabets.pop() if not prefix else "abcde"[len(prefix) :]
        for letter in letters[:max_tokens]:
            self.clock += 0.1
            self._read += letter
            if self.watch is not None:
                self.watch()
            yield letter
        self.clock += 0.1

    async def warm(self, messages: Sequence[Message], *, open_end: bool = False) -> None:
        self._reads(messages, "")

    async def aclose(self) -> None: ...


def test_a_reply_is_written_again_at_the_pace_it_was_written() -> None:
    """Piece by piece; who wanted two pieces of it does not hinder who wants all; what was read ahead is not read."""
    inner, recall = Letters(), Recall(Bill())
    asked = [Message("user", "What comes first in it?")]

    def brain() -> RecalledBrain:
        return RecalledBrain(cast("LlamaCppResponder", inner), Cores(), recall, lambda: inner.clock)

    async def replied(most: int, *, ahead: bool = False) -> tuple[list[tuple[str, float]], float]:
        recall.turn("a")
        made, loop = brain(), asyncio.get_running_loop()
        if ahead:
            await made.warm(asked)
        begun, pieces = loop.time(), list[tuple[str, float]]()
        stream = made.reply(asked, max_tokens=5)
        async for piece in stream:
            pieces.append((piece, round(loop.time() - begun, 3)))
            if len(pieces) == most:
                break
        await stream.aclose()
        return pieces, loop.time() - begun

    def run(main: Coroutine[object, object, tuple[list[tuple[str, float]], float]]) -> list[tuple[str, float]]:
        return run_virtual(main, measured=False)[0]

    two = run(replied(2))
    assert [piece for piece, _ in two] == ["a", "b"]
    first = two[0][1]
    assert two[1][1] == pytest.approx(first + 0.1)
    all_of_it = run(replied(9))
    assert [piece for piece, _ in all_of_it] == [*"abcde"]
    assert all_of_it[:2] == two
    assert all_of_it[2][1] == pytest.approx(two[1][1] + 0.1)
    really = len(inner.prompts)
    assert run(replied(9)) == all_of_it
    assert len(inner.prompts) == really  # nothing was asked again
    assert run(replied(9, ahead=True))[0][1] < first
