"""Files that grow and that readers may look at: which there are, and who watches them. Readers of one share it."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from videobert.ingest.config import IngestConfig
from videobert.serve.answers import NotFoundError
from videobert.serve.fresh import FreshRoot
from videobert.serve.jobs import BusyError
from videobert.serve.options import ServeOptions
from videobert.serve.records import WatchFile, WatchFiles
from videobert.serve.scratch import Scratch
from videobert.serve.watcher import Watcher

__all__ = ["Watchers"]

_VIDEOS = IngestConfig().extensions
_MOST_FILES = 200
"""That the list shows, the ones that grew last."""
_MOST_ENDED = 16
"""Whose records are kept after they have ended."""
_RETRY_SECONDS = 10.0
"""So long a failure is told before the file is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Allowed:
    """A file that the operator named, or that lies in a folder that the operator named."""

    path: Path
    size_bytes: int
    grown: float


class Watchers:
    """No request names a path: files have ids, and those are listed anew."""

    def __init__(self, root: FreshRoot, scratch: Scratch, options: ServeOptions) -> None:
        self._root, self._scratch, self._options = root, scratch, options
        self._watchers: dict[str, Watcher] = {}
        self._lock = threading.Lock()
        self.streams = 0
        """Answers that go on."""
        self.are_closing = False
        """Whether answers that go on should end, and no watching begins."""

    @property
    def per_hour(self) -> float:
        """Alarms that are wanted."""
        return self._options.watch_per_hour

    @property
    def most_records(self) -> int:
        """Of a file that are kept."""
        return self._options.watch_records

    def files(self) -> WatchFiles:
        """Those that may be watched."""
        found = sorted(self._allowed().items(), key=lambda one: -one[1].grown)
        with self._lock:
            states = {file_id: watcher.state for file_id, watcher in self._watchers.items()}
        return WatchFiles(
            places=[str(place) for place in self._places()],
            files=[
                WatchFile(
                    id=file_id, name=one.path.name, size_bytes=one.size_bytes, state=states.get(file_id, ""),
                    grown_at=datetime.fromtimestamp(one.grown, UTC).isoformat(timespec="seconds"),
                )
                for file_id, one in found[:_MOST_FILES]
            ],
            total=len(found),
        )  # fmt: skip

    def watcher(self, file_id: str) -> Watcher:
        """Who watches a file, from now on if nobody did. Raises NotFoundError, BusyError."""
        one = self._allowed().get(file_id)
        if one is None:
            raise NotFoundError(f"there is no file {file_id!r} to watch; /watch lists those that the operator allows")
        model = self._root.spec("current")
        with self._lock:
            found = self._watchers.get(file_id)
            if found is not None and _is_good(found, model):
                found.asked()
                return found
            running = [other for other in self._watchers.values() if other.state == "running"]
            if self.are_closing or len(running) >= self._options.watchers:
                raise BusyError(f"{len(running)} files are watched, as many as may be; try again when one has ended")
            made = Watcher(self._root.url, model, one.path, self._scratch.folder(), self._options)
            self._watchers.pop(file_id, None)
            self._watchers[file_id] = made
            ended = [name for name, other in self._watchers.items() if other.state != "running"]
            for name in ended[: max(0, len(ended) - _MOST_ENDED)]:
                del self._watchers[name]
            return made

    def end_streams(self) -> None:
        """Let answers that go on end; a signal calls this."""
        self.are_closing = True

    def close(self) -> None:
        """End all of them."""
        self.end_streams()
        with self._lock:
            found = list(self._watchers.values())
        for watcher in found:
            watcher.close()

    def _places(self) -> list[Path]:
        named = self._options.watch
        whole = bool(named) and Path(named).exists()  # with a comma in its name
        return [Path(name) for name in ([named] if whole else named.split(",")) if name]

    def _allowed(self) -> dict[str, _Allowed]:
        def read() -> dict[str, _Allowed]:
            places = self._places()
            return {_id(one.path): one for place in places for one in _files_of(place)}

        return self._root.remembered("watch", read)


def _is_good(watcher: Watcher, model: str) -> bool:
    """Whether what it tells is what a new one would."""
    if watcher.state == "failed":
        return watcher.seconds_since_end < _RETRY_SECONDS
    return watcher.state == "running" or (watcher.state == "ended" and watcher.model == model and watcher.is_unchanged)


def _files_of(place: Path) -> Iterator[_Allowed]:
    """The file itself, or the videos of a folder; no links there, which whoever may write into it could set."""
    try:
        if not place.is_dir():
            found = place.stat()
            yield _Allowed(path=place.absolute(), size_bytes=found.st_size, grown=found.st_mtime)
            return
        with os.scandir(place) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                named = entry.name.lower().endswith(_VIDEOS) and not entry.name.startswith(".")
                if named and entry.name.isprintable() and stat.S_ISREG(found.st_mode):
                    path = Path(entry.path).absolute()
                    yield _Allowed(path=path, size_bytes=found.st_size, grown=found.st_mtime)
    except OSError:  # it is not there, or went while it was listed
        return


def _id(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
