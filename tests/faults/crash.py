"""A store that kills its process at one chosen write boundary: an object, a manifest, a pointer, a removal.

Boundaries are counted over all processes of a run in one file, the ledger, so that a run with actors can be killed at
its n-th write wherever that happens.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NoReturn

from videobert.runtime.storage import Store

__all__ = ["CrashStore", "Moment", "boundaries", "in_child"]

Moment = Literal["before", "torn"]
"""`before` the boundary, which is also after the one before it; `torn`: in the middle of the write."""


class CrashStore(Store):
    """The real store; at boundary number `victim` (from 0) the process that is there ends with SIGKILL."""

    def __init__(self, root: str, ledger: Path, victim: int = -1, moment: Moment = "before") -> None:
        super().__init__(root)
        self._ledger, self._victim, self._moment = ledger, victim, moment
        self._tearing = False

    def __reduce__(self) -> tuple[type[CrashStore], tuple[str, Path, int, Moment]]:  # type: ignore[override]
        return CrashStore, (self.root, self._ledger, self._victim, self._moment)

    def _put(self, path: str, data: bytes, **condition: str) -> None:
        if self._reach(f"write {path}"):
            self._tear(path, data)
        super()._put(path, data, **condition)

    def upload(self, source: Path, path: str, **condition: str) -> None:
        if self._reach(f"write {path}"):
            self._tear(path, source.read_bytes())
        super().upload(source, path, **condition)

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            if self._reach(f"delete {path}"):
                _die()  # a removal has no middle
            super().delete([path])

    def _reach(self, what: str) -> bool:
        """Note the boundary; whether this process is to end in the middle of it."""
        with self._ledger.open("a+") as ledger:
            fcntl.flock(ledger, fcntl.LOCK_EX)
            ledger.seek(0)
            number = len(ledger.readlines())
            ledger.write(f"{what}\n")
        if number == self._victim and self._moment == "before":
            _die()
        return number == self._victim

    def _tear(self, path: str, data: bytes) -> None:
        """Files: half of the temporary is written. S3: half of a multipart upload is."""
        if self._local:
            self._tearing = True
            return
        bucket, key, _ = self._fs.split_path(self._full(path))
        upload = self._fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
        half = data[: len(data) // 2]
        self._fs.call_s3(
            "upload_part", Bucket=bucket, Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=half
        )  # fmt: skip
        _die()

    def _replace(self, path: str, fill: Callable[[Path], object], *, mode: str = "") -> None:
        def torn(temporary: Path) -> None:
            fill(temporary)
            os.truncate(temporary, temporary.stat().st_size // 2)
            _die()

        super()._replace(path, torn if self._tearing else fill, mode=mode)


def boundaries(ledger: Path) -> list[str]:
    """What was written and removed, in order."""
    return ledger.read_text().splitlines() if ledger.exists() else []


def in_child(work: Callable[[], None]) -> int:
    """Exit code of `work` in a forked process; -9 when it was killed. This process must not have started threads."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:  # also when `work` raises: the traceback is printed, and nothing of the parent's is cleaned up
            if code:
                import traceback

                traceback.print_exc()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError  # not reached
