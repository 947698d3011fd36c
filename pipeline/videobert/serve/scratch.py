"""A folder of this process that goes with it, or, where it was killed, when the next one starts."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["Scratch"]

_PREFIX, _ALIVE = "videobert-serve-", "alive"


class Scratch:
    """In the temporary folder; nobody else can read it. A lock that dies with the process tells that it is in use."""

    def __init__(self) -> None:
        _remove_orphans()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._alive = (self.path / _ALIVE).open("wb")
        fcntl.flock(self._alive, fcntl.LOCK_EX)

    def folder(self) -> Path:
        """A new empty one within it."""
        return Path(tempfile.mkdtemp(dir=self.path))

    def close(self) -> None:
        """Remove everything."""
        self._alive.close()
        shutil.rmtree(self.path, ignore_errors=True)


def _remove_orphans() -> None:
    """Folders of processes that were killed: nobody holds their lock."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), (folder / _ALIVE).open("rb") as alive:  # another user's, or only just made
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
