"""Two loops that take turns, so that a busy machine harms both alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

__all__ = ["Cost", "Turns", "alternate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of one turn."""

    wall: float
    cpu: float
    """Of all threads of this process; the other loop stands still."""


class _Abandoned(Exception):
    """The other loop has failed."""


class Turns:
    """The side of one loop: it calls `next` at the end of every step."""

    def __init__(self, *, starts: bool) -> None:
        self._go = threading.Semaphore(1 if starts else 0)
        self._other: Turns = self
        self._stopped = False
        self._since = Cost(wall=0.0, cpu=0.0)
        self.costs: list[Cost] = []

    def run(self, loop: Callable[[Turns], object], other: Turns) -> None:
        """Run `loop` to its end; an error ends the other loop too."""
        self._other = other
        try:
            self._begin()
            loop(self)
        except BaseException:
            other._stopped = True
            raise
        finally:
            other._go.release()

    def next(self) -> None:
        """This step is done; returns when the other loop has done one."""
        now = _now()
        self.costs.append(Cost(wall=now.wall - self._since.wall, cpu=now.cpu - self._since.cpu))
        self._other._go.release()
        self._begin()

    def _begin(self) -> None:
        self._go.acquire()
        if self._stopped:
            raise _Abandoned
        self._since = _now()


def alternate(first: Callable[[Turns], object], second: Callable[[Turns], object]) -> tuple[list[Cost], list[Cost]]:
    """Run two loops of equally many steps in turns; what each step of each cost, set-up within the first."""
    one, two = Turns(starts=True), Turns(starts=False)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(two.run, second, one)
        try:
            one.run(first, two)
        except _Abandoned:
            other.result()  # raises what went wrong there
        other.result()
    return one.costs, two.costs


def _now() -> Cost:
    return Cost(wall=time.perf_counter(), cpu=time.process_time())
