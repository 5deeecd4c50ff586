"""Time at the edges: an event loop that skips idle waits, so that the same code runs in real, virtual or test time.

The conversation counts time in samples. Where it must wait (a microphone's pace, the playout), it waits on the
event loop's own clock. ``SkippingLoop`` is that clock for everything that needs no real waiting: when nothing is
being computed it jumps to the next timer; while something is (``busy``), its time runs with the real clock, so a
computation costs as much virtual time as it took. Unmeasured, its time stands still meanwhile: models are then
infinitely fast, and a conversation comes out the same on any machine.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

T = TypeVar("T")


class _SkippingSelector(selectors.BaseSelector):
    """A selector whose idle waits cost no real time: it moves the loop's clock instead."""

    def __init__(self) -> None:
        self._inner = selectors.DefaultSelector()
        self.busy = 0
        self.skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0 or self.busy:
            return self._inner.select(timeout)
        ready = self._inner.select(0)
        if not ready:
            self.skipped += timeout
        return ready

    def register(self, fileobj: FileDescriptorLike, events: int, data: object = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: object = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def close(self) -> None:
        self._inner.close()

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._inner.get_map()


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``time()`` jumps over idle waits and, if ``measured``, follows the real clock in between."""

    def __init__(self, *, measured: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.measured = measured
        self._base: Callable[[], float] = clock if measured else (lambda: 0.0)
        self._skipping = _SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Seconds: real time (measured) or none, plus everything that was skipped."""
        return self._base() + self._skipping.skipped

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for its threads without a limit, which would be skipped."""
        await super().shutdown_default_executor()

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Within it nothing is skipped; may be nested and shared by many tasks."""
        self._skipping.busy += 1
        try:
            yield
        finally:
            self._skipping.busy -= 1


@contextmanager
def busy() -> Iterator[None]:
    """Mark a wait of the running task for something that computes: a thread of this process, a server."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, SkippingLoop):
        with loop.computing():
            yield
    else:
        yield


async def marked(items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same items, each wait for one of them marked ``busy``; closing it closes ``items``."""
    async with aclosing(items):
        while True:
            with busy():
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            yield item


def run_virtual(
    main: Coroutine[object, object, T], *, measured: bool, clock: Callable[[], float] = time.monotonic
) -> T:
    """Run ``main`` to its end without waiting for idle time.

    ``measured`` True: computation marked with ``busy`` takes as much virtual time as it took by ``clock``; the rest is
    skipped. ``time.process_time`` counts the processor's time alone, as if all threads shared one core that nobody else
    uses. False: computation takes no time, only timers do, and every run is the same however fast the machine is.
    """
    with asyncio.Runner(loop_factory=lambda: SkippingLoop(measured=measured, clock=clock)) as runner:
        return runner.run(main)


async def sleep_until(when: float) -> None:
    """Wait until the running loop's clock shows ``when``."""
    await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))
