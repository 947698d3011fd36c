"""Loaded by every Python that has this folder on its path: lets the decoder's process fail at a file that says how.

A file that ends in `poison:<way>` fails when it is opened, `poison:late-<way>` after forty frames, and
`poison:once-<way>` after forty frames, but only the first time.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any


def _fail(way: str) -> None:
    if way == "segv":
        ctypes.string_at(0)
    elif way == "abort":
        os.abort()
    elif way == "hang":
        time.sleep(3600)
    elif way == "bloat":
        hoard = []
        while True:
            hoard.append(bytearray(32 << 20))
    elif way == "surprise":
        raise KeyError("what nobody foresaw")
    elif way == "lie":
        os.write(3, b"\xff" * 64)


def _poison() -> None:
    import av

    from videobert.video import frames

    def way_of(path: Path) -> str:
        return path.read_bytes()[-32:].rpartition(b"poison:")[2].decode("ascii", "replace") if path.is_file() else ""

    real_open, real_decode = av.open, frames.ClipDecoder._decode

    def open_(name: str, *args: Any, **options: Any) -> Any:
        _fail(way_of(Path(name.removeprefix("file:"))))
        return real_open(name, *args, **options)

    def decode_(self: Any, packet: Any) -> Any:
        kind, _, way = way_of(Path(self._path)).partition("-")
        seen = Path(self._path).with_name("seen")
        if self.frames_decoded >= 40 and (kind == "late" or (kind == "once" and not seen.exists())):
            seen.touch()
            _fail(way)
        return real_decode(self, packet)

    av.open = open_  # type: ignore[assignment]
    frames.ClipDecoder._decode = decode_  # type: ignore[method-assign]


if "videobert.video.isolated_child" in sys.orig_argv:
    _poison()
