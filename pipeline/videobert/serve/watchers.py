"""Files that grow and that readers may look at: which there are, and who watches them. Readers of one share it."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
    is_named: bool
    size_bytes: int
    grown: float

    @classmethod
    def of(cls, path: Path, *, is_named: bool) -> _Allowed | None:
        """None where it is no file. No links in a folder, which whoever may write into it could set."""
        try:
            found = path.stat(follow_symlinks=is_named)
        except OSError:  # it is not there, or went while it was listed
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return cls(path=path.absolute(), is_named=is_named, size_bytes=found.st_size, grown=found.st_mtime)


class Watchers:
    """No request names a path: files have ids, and those are listed anew."""

    def __init__(self, root: FreshRoot, scratch: Scratch, options: ServeOptions) -> None:
        self._root, self._scratch, self._options = root, scratch, options
        self._watchers: dict[str, Watcher] = {}
        self._lock = threading.Lock()
        self._streams = 0
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
        """Who watches a file, from now on if nobody did; of one that is gone, who did.

        Raises NotFoundError, BusyError.
        """
        listed = self._allowed().get(file_id)
        one = listed and _Allowed.of(listed.path, is_named=listed.is_named)  # it may be a link by now
        model = self._root.spec("current")
        with self._lock:
            found = self._watchers.get(file_id)
            if one is not None and (found is None or not _is_good(found, model)):
                found = self._begin(file_id, model, one.path)
            if found is None:
                raise NotFoundError(
                    f"there is no file {file_id!r} to watch; /watch lists those that the operator allows"
                )
            found.asked()
            return found

    @contextmanager
    def stream(self, most: int) -> Iterator[None]:
        """An answer that goes on, one of `most` at the same time. Raises BusyError."""
        with self._lock:
            if self._streams >= most:
                raise BusyError(f"{most} readers follow files already; ask again later, or for what has come so far")
            self._streams += 1
        try:
            yield
        finally:
            with self._lock:
                self._streams -= 1

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

    def _begin(self, file_id: str, model: str, path: Path) -> Watcher:
        running = [other for other in self._watchers.values() if other.state == "running"]
        if self.are_closing or len(running) >= self._options.watchers:
            raise BusyError(f"{len(running)} files are watched, as many as may be; try again when one has ended")
        made = Watcher(self._root.url, model, path, self._scratch.folder(), self._options)
        self._watchers.pop(file_id, None)
        self._watchers[file_id] = made
        ended = [name for name, other in self._watchers.items() if other.state != "running"]
        for name in ended[: max(0, len(ended) - _MOST_ENDED)]:
            del self._watchers[name]
        return made

    def _places(self) -> list[Path]:
        named = self._options.watch
        whole = bool(named) and Path(named).exists()  # with a comma in its name
        return [Path(named)] if whole else [Path(name.strip()) for name in named.split(",") if name.strip()]

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
    """The file itself, or the videos of a folder."""
    try:
        names = os.listdir(place)
    except OSError:  # it is a file, or not there
        found = [_Allowed.of(place, is_named=True)]
    else:
        found = [_Allowed.of(place / name, is_named=False) for name in names if _is_video(name)]
    yield from (one for one in found if one is not None)


def _is_video(name: str) -> bool:
    return name.lower().endswith(_VIDEOS) and not name.startswith(".") and name.isprintable()


def _id(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
