"""How far a training is: by steps or by minutes, whichever is over first, across all of its runs."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Pace:
    """Counts steps and minutes; the learning rate rises over ``warm`` steps and falls toward the end."""

    steps: int
    minutes: float
    warm: int = 20
    step: int = 0
    spent: float = 0.0
    """Minutes, over all runs."""
    _since: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> float:
        """From 0 to 1."""
        return min(1.0, max(self.step / self.steps, self.spent / self.minutes))

    @property
    def over(self) -> bool:
        """Whether it is."""
        return self.done >= 1.0

    def go_on(self) -> None:
        """A run begins: what was before it counts no time."""
        self._since = time.monotonic()

    def tick(self) -> None:
        """A step was made."""
        now = time.monotonic()
        self.step += 1
        self.spent += (now - self._since) / 60
        self._since = now

    def share(self) -> float:
        """Of the highest learning rate: a half cosine behind the rise."""
        rise = min(1.0, (self.step + 1) / self.warm)
        return rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * self.done)))
