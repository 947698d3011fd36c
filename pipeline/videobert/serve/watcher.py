"""One file that is watched for readers: a process that follows it, and the last records that it told."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from videobert.serve.access import environment_without_tokens
from videobert.serve.options import ServeOptions
from videobert.serve.records import WatchedRecord, WatchState

__all__ = ["Watcher"]

State = Literal["running", "ended", "failed", "left"]
_UNREAD = (-2, -2)
"""Of a file that still grows, or grew after its end was found."""


class Watcher:
    """Begins at once. It ends with the file, or when nobody has asked for a while. `folder` is its own."""

    def __init__(self, root: str, model: str, path: Path, folder: Path, options: ServeOptions) -> None:
        self.path, self.model, self._ended_at = path, model, 0.0
        self.state: State = "running"
        self._id, self._folder, self._patience = secrets.token_hex(4), folder, options.watch_left_seconds
        self._records: deque[WatchedRecord] = deque(maxlen=options.watch_records)
        self._count, self._error, self._lock = 0, "", threading.Lock()
        self._asked_at, self._seen = time.monotonic(), _signature(path)
        self.follow = 0.0 if _is_finished(self._seen, options.watch_seconds) else options.watch_seconds
        order = {
            "root": root, "model": model, "file": str(path), "follow": self.follow,
            "per_hour": options.watch_per_hour, "encoder": options.encoder,
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "videobert.serve.watch_child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment_without_tokens() | {"TMPDIR": str(folder)},
        )  # fmt: skip
        self._threads = [
            threading.Thread(target=target, args=arguments, daemon=True)
            for target, arguments in ((self._follow, (json.dumps(order),)), (self._guard, ()))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_unchanged(self) -> bool:
        """Whether the file is as it was when this had read all of it."""
        return _signature(self.path) == self._seen

    @property
    def seconds_since_end(self) -> float:
        """Of one that has ended."""
        return time.monotonic() - self._ended_at

    def asked(self) -> None:
        """A reader is there."""
        self._asked_at = time.monotonic()

    def since(self, cursor: str) -> WatchState:
        """The records after those of a former answer, or all that are kept."""
        self.asked()
        begun, _, number = cursor.partition(".")
        after = int(number) if begun == self._id else 0
        with self._lock:
            records = [record for record in self._records if record.number > after]
            return WatchState(
                file=self.path.name, model=self.model, state=self.state, error=self._error, begun=self._id,
                cursor=f"{self._id}.{self._count}", records=records,
            )  # fmt: skip

    def close(self) -> None:
        """End it, and wait until nothing is left of it but its records."""
        self._end("left")
        for thread in self._threads:
            thread.join()

    def _end(self, state: State, error: str = "") -> None:
        with self._lock:
            if self.state == "running":
                self.state, self._error, self._ended_at = state, error, time.monotonic()
        self._process.kill()

    def _follow(self, order: str) -> None:
        """Take what the process tells, until it ends."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            with suppress(BrokenPipeError):  # it was ended before it began
                process.stdin.write(order + "\n")
                process.stdin.flush()
            for line in process.stdout:
                self._take(json.loads(line))
        except (ValueError, TypeError, KeyError):
            self._end("failed", "the process that watched it told what is no record; see the log of the service")
        finally:
            self._end("failed", "the process that watched it died; the log of the service may tell why")
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):  # what a killed process never read
                    pipe.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _take(self, told: dict[str, Any]) -> None:
        if "record" not in told:
            self._end("failed" if told["error"] else "ended", told["error"])
            return
        if self.follow and (told["record"]["kind"] == "clip" or self._seen == _UNREAD):
            # Where this is past the end, the file had not grown for so long when that was found.
            seen = _signature(self.path)
            self._seen = seen if _is_finished(seen, self.follow) else _UNREAD
        with self._lock:
            self._count += 1
            self._records.append(WatchedRecord(number=self._count, **told["record"]))

    def _guard(self) -> None:
        """End it once nobody has asked for so long."""
        while self.state == "running":
            left = self._asked_at + self._patience - time.monotonic()
            if left <= 0:
                self._end("left")
            else:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(min(left, 5.0))


def _is_finished(signature: tuple[int, int], seconds: float) -> bool:
    """Whether a file has not grown for so long; what is finished may be of any container."""
    return time.time() - signature[1] / 1e9 >= seconds


def _signature(path: Path) -> tuple[int, int]:
    """Changes with the file's bytes."""
    try:
        found = path.stat()
    except OSError:  # it was removed meanwhile
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)
