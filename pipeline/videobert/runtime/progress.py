"""Progress of long work: one line to standard error now and then, with rates and the time left."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

__all__ = ["Progress", "clock_text"]

_LOG = logging.getLogger("videobert")
_EVERY_SECONDS = 5.0


def clock_text(seconds: float) -> str:
    """`75` -> `1:15`."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """Counts steps and what they brought; logs at most every five seconds, and the last step."""

    def __init__(self, title: str, *, total: int, done: int = 0, unit: str = "steps") -> None:
        self._title, self._total, self._done, self._unit = title, total, done, unit
        self._resumed = done
        self._started = self._logged = time.monotonic()
        self._counts: dict[str, int] = {}
        if done and done < total:
            _LOG.info("%s: %d of %d %s already stand, resuming", title, done, total, unit)

    def advance(self, done: int) -> None:
        """So many steps are done by now, of which the last has not been told."""
        self._done = done - 1
        self.step()

    def step(self, counts: Mapping[str, int] | None = None) -> None:
        """One more step is done and brought `counts`."""
        self._done += 1
        for name, value in (counts or {}).items():
            self._counts[name] = self._counts.get(name, 0) + value
        now = time.monotonic()
        if now - self._logged < _EVERY_SECONDS and self._done < self._total:
            return
        self._logged = now
        elapsed = max(now - self._started, 1e-9)
        speed = (self._done - self._resumed) / elapsed
        parts = [f"{self._done}/{self._total} {self._unit}"]
        parts += [f"{value:,} {name} ({value / elapsed:,.1f}/s)" for name, value in self._counts.items() if value]
        parts.append(f"{clock_text((self._total - self._done) / speed)} left")
        _LOG.info("%s: %s", self._title, ", ".join(parts))
