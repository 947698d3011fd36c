"""What was found a moment ago, up to a number of answers and to the bytes of those that are weighed."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["NOTHING", "Remembered", "bytes_of"]

NOTHING = object()


class Remembered:
    """For several threads. What was kept first makes room."""

    def __init__(self, *, seconds: float, most: int, most_bytes: int) -> None:
        self._seconds, self._most, self._most_bytes = seconds, most, most_bytes
        self._kept: OrderedDict[Any, tuple[float, Any, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0
        """Of the answers that are weighed."""

    def get(self, key: Any, now: float) -> Any:
        """The answer; NOTHING where there is none, or an old one."""
        with self._lock:
            at, value, _ = self._kept.get(key, (now - self._seconds, NOTHING, 0))
        return value if now - at < self._seconds else NOTHING

    def keep(self, key: Any, now: float, value: Any, weight: int) -> None:
        """Instead of what was kept; one that is heavier than all may be is left out, and others stay."""
        with self._lock:
            self._drop(key)
            if weight > self._most_bytes:
                return
            self._kept[key] = (now, value, weight)
            self.bytes += weight
            while self.bytes > self._most_bytes:
                self._drop(next(known for known, (*_, heavy) in self._kept.items() if heavy))
            while len(self._kept) > self._most:
                self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()
            self.bytes = 0

    def _drop(self, key: Any) -> None:
        self.bytes -= self._kept.pop(key, (0.0, None, 0))[2]


def bytes_of(value: Any) -> int:
    """About what records, lists and mappings of texts and numbers take; what they share counts each time."""
    own = sys.getsizeof(value)
    if isinstance(value, Mapping):
        return own + sum(bytes_of(key) + bytes_of(one) for key, one in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return own + sum(map(bytes_of, value))
    if is_dataclass(value):
        return own + sum(bytes_of(getattr(value, field.name)) for field in fields(value))
    return own
