"""Files that can be made again, under a bound: what was used longest ago goes first."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["FileCache"]


@dataclass(slots=True)
class _Entry:
    path: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    size: int = 0
    users: int = 0
    made: bool = False


class FileCache:
    """Files in a folder, for several threads; each file is made once, however many ask for it.

    Files in use are never removed, so that it may hold more than its bound for as long as they are.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0

    @contextmanager
    def file(self, key: str, make: Callable[[Path], object]) -> Iterator[Path]:
        """The file of a key for as long as the block lasts; `make` writes it where it is not there yet."""
        entry = self._take(key)
        try:
            with entry.lock:
                if not entry.made:
                    make(entry.path)
                    self._count(entry)
            yield entry.path
        finally:
            self._give_back(key, entry)

    def _take(self, key: str) -> _Entry:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                name = hashlib.sha256(key.encode()).hexdigest()[:32]
                entry = self._entries[key] = _Entry(self._folder / name)
            self._entries.move_to_end(key)
            entry.users += 1
            return entry

    def _count(self, entry: _Entry) -> None:
        with self._lock:
            entry.size, entry.made = entry.path.stat().st_size, True
            self.bytes += entry.size

    def _give_back(self, key: str, entry: _Entry) -> None:
        with self._lock:
            entry.users -= 1
            if not entry.made and not entry.users:  # making it failed
                del self._entries[key]
                entry.path.unlink(missing_ok=True)
            for old_key, old in list(self._entries.items()):
                if self.bytes <= self._most:
                    break
                if not old.users and old.made:
                    del self._entries[old_key]
                    self.bytes -= old.size
                    os.unlink(old.path)
