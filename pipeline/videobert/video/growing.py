"""A file that is still being written, read front to back as its bytes come."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from videobert.errors import VideoError

__all__ = ["GrowingFile"]

_POLL_SECONDS = 0.05
"""What a byte waits at most; thirty looks at a file per clip cost nothing."""


class GrowingFile:
    """What FFmpeg reads in place of a path. It cannot seek, as the end of such a file says nothing yet.

    Its end is where it has not grown for `patience` seconds. `wait` is called while it does not grow. Raises VideoError
    when the file gets shorter than what was read, as one that is written anew.
    """

    def __init__(self, path: Path, *, patience: float, wait: Callable[[], None]) -> None:
        self.name = path.name
        self._file = path.open("rb", buffering=0)
        self._patience, self._wait = patience, wait
        self._read = 0
        self._ended = False

    def __enter__(self) -> GrowingFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """At most `size` bytes, those that are there; none at the end, however often FFmpeg asks there."""
        if self._ended:
            return b""
        until = time.monotonic() + self._patience
        while not (data := self._file.read(size)):
            if os.fstat(self._file.fileno()).st_size < self._read:
                raise VideoError("undecodable", f"the file got shorter than the {self._read:,} bytes read so far")
            if time.monotonic() >= until:
                self._ended = True
                break
            self._wait()
            time.sleep(_POLL_SECONDS)
        self._read += len(data)
        return data
