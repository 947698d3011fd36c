"""Captions next to a video, read again when their file has changed."""

from __future__ import annotations

import dataclasses
import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videobert.ingest.captions.read import read_captions
from videobert.ingest.sidecars import SUFFIXES, VideoNames, precedence

__all__ = ["LiveCaptions", "sidecars_of"]


def sidecars_of(video: Path) -> list[Path]:
    """Files next to a video that are named like it and end like captions; no links, which may lead anywhere."""
    return [path for path, _ in _found(video)]


class LiveCaptions:
    """What the best file of captions says so far. A file that cannot be read yet says nothing yet."""

    def __init__(self, video: Path, *, language: str) -> None:
        self._video, self._language = video, language
        self._seen: tuple[tuple[str, int, int], ...] = ()
        self.cues: list[dict[str, Any]] = []

    def changed(self) -> bool:
        """Look again; whether there are other cues than before."""
        seen = tuple((str(path), found.st_size, found.st_mtime_ns) for path, found in _found(self._video))
        if seen == self._seen:
            return False
        self._seen, before = seen, self.cues
        self.cues = self._read()
        return self.cues != before

    def _read(self) -> list[dict[str, Any]]:
        names = VideoNames([self._video.name])
        for path in sorted(
            sidecars_of(self._video), key=lambda p: precedence(names.of_sidecar(p.name)[1], self._language)
        ):
            try:
                found = read_captions(path.read_bytes(), path.suffix.lower())
            except (OSError, ValueError):
                continue
            if found.cues:
                return [dataclasses.asdict(cue) for cue in found.cues]
        return []


def _found(video: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in sorted(video.parent.glob(f"{glob.escape(video.stem)}.*")):
        if path.suffix.lower() in SUFFIXES:
            try:
                found = path.lstat()
            except OSError:  # it went meanwhile
                continue
            if stat.S_ISREG(found.st_mode):
                yield path, found
