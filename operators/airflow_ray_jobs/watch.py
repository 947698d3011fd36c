"""Follow one job to its end: the loop that the trigger runs in the triggerer and the operator in a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from airflow_ray_jobs.backend import JobBackend, JobState
from airflow_ray_jobs.errors import RayUnavailable

__all__ = ["LogCursor", "Watch", "WatchSettings"]

_TAIL_LINES = 40
_TAIL_CHARACTERS = 8_000
_LOG_SHARE = 0.1
"""Reading logs may take at most this share of the time: the Jobs API sends the whole log every time."""
_LOG_RETRY_SECONDS = 60.0
_TOLD_SECONDS = 60.0
"""A head that is away is told of this often, not at every look."""
_FIRST_PAUSE_SECONDS = 0.25
_PAUSE_SHARE = 0.1
_MAX_LOG_CHARACTERS = 16 * 1024 * 1024
"""A longer log is not followed any more: decoding it would hold the event loop of every other trigger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """How to follow a job."""

    poll_seconds: float = 5.0
    """Longest pause between two looks: a job that has just begun is looked at more often, so that a short one costs
    no half minute of waiting."""
    deadline_seconds: float | None = None
    """When to give up, in seconds since the epoch; None waits for ever."""
    patience_seconds: float = 1800.0
    """How long a head may be away before the job counts as unreachable: one that restarts is not a failed job."""
    lost_seconds: float = 60.0
    """How long a head that answers may deny the job before it counts as lost: one that starts reads its past first."""
    log_lines_per_poll: int = 200
    """Log lines copied at one look at most; 0 copies none."""


class LogCursor:
    """Cuts what is new out of an ever longer log."""

    def __init__(self, max_lines: int, *, offset: int = 0) -> None:
        self._max_lines = max_lines
        self._offset = offset

    @property
    def offset(self) -> int:
        """Characters told so far."""
        return self._offset

    def advance(self, text: str, *, final: bool = False) -> list[str]:
        """Whole new lines since the last call, the newest `max_lines` of them; `final` also takes a half line."""
        if len(text) < self._offset:
            self._offset = 0  # a new head has started a new log
        end = len(text) if final else text.rfind("\n") + 1
        lines = text[self._offset : end].splitlines()
        self._offset = max(end, self._offset)
        skipped = len(lines) - self._max_lines
        if skipped <= 0:
            return lines
        return [f"... {skipped} lines skipped ...", *lines[skipped:]]


class Watch:
    """Follows one job; remembers from one look to the next what was told of it."""

    def __init__(
        self, submission_id: str, settings: WatchSettings, emit: Callable[[str], object], *, log_offset: int = 0
    ) -> None:
        self._id = submission_id
        self._settings = settings
        self._emit = emit
        self._cursor = LogCursor(settings.log_lines_per_poll, offset=log_offset)
        self._began = time.monotonic()
        self._missing_since: float | None = None
        self._next_told = 0.0
        self._next_logs = 0.0 if settings.log_lines_per_poll else float("inf")

    @property
    def log_offset(self) -> int:
        """Characters of the job's log that were told: who follows it next goes on there."""
        return self._cursor.offset

    async def run(
        self, connect: Callable[[], Awaitable[JobBackend]], *, seconds: float = float("inf")
    ) -> dict[str, Any] | None:
        """The final event of the job: `submission_id`, `status`, `message` and, of one that ended, `error_type`,
        `exit_code`, `log_tail`. None when it still runs after that many seconds.

        `status` is SUCCEEDED, FAILED, STOPPED, or one of ours: TIMEOUT (still running at the deadline), LOST (the
        server knows no such job), UNREACHABLE (no answer). `connect` is called again after access was refused: tokens
        rotate.
        """
        until = time.monotonic() + seconds
        while True:
            async with await connect() as backend:
                refused = False
                while not refused:
                    event, refused = await self._look(backend)
                    if event is not None or time.monotonic() >= until:
                        return event
                    await asyncio.sleep(min(self._pause(), max(0.0, until - time.monotonic())))

    async def _look(self, backend: JobBackend) -> tuple[dict[str, Any] | None, bool]:
        """Look once; returns the final event if it is time for one, and whether access was refused."""
        try:
            state = await backend.state(self._id)
        except RayUnavailable as error:
            return self._miss("UNREACHABLE", str(error), self._settings.patience_seconds), error.unauthorized
        if state is None:
            told = "the cluster does not know this job any more"
            return self._miss("LOST", told, self._settings.lost_seconds), False
        if state.status.is_final:
            return await self._final_event(backend, state), False
        self._missing_since = None
        if time.monotonic() >= self._next_logs:
            await self._copy_logs(backend)
        return self._deadline_event(), False

    def _pause(self) -> float:
        """Seconds until the next look: a share of the time so far, and never beyond the deadline."""
        watched = time.monotonic() - self._began
        pause = min(self._settings.poll_seconds, max(_FIRST_PAUSE_SECONDS, _PAUSE_SHARE * watched))
        if self._settings.deadline_seconds is None:
            return pause
        return max(0.0, min(pause, self._settings.deadline_seconds - time.time()))

    def _miss(self, status: str, message: str, patience_seconds: float) -> dict[str, Any] | None:
        now = time.monotonic()
        self._missing_since = now if self._missing_since is None else self._missing_since
        missing = now - self._missing_since
        if missing >= patience_seconds:
            return {"submission_id": self._id, "status": status, "message": f"{message} (for {missing:.0f} s)"}
        if now >= self._next_told:
            self._next_told = now + _TOLD_SECONDS
            self._emit(f"no status of {self._id}, waiting up to {patience_seconds - missing:.0f} s more: {message}")
        return self._deadline_event()

    def _deadline_event(self) -> dict[str, Any] | None:
        deadline = self._settings.deadline_seconds
        if deadline is None or time.time() < deadline:
            return None
        message = "the deadline passed while the job was not finished"
        return {"submission_id": self._id, "status": "TIMEOUT", "message": message}

    async def _copy_logs(self, backend: JobBackend) -> None:
        began = time.monotonic()
        try:
            text = await backend.logs(self._id)
        except RayUnavailable as error:
            self._emit(f"the log of {self._id} cannot be read now: {error}")
            self._next_logs = time.monotonic() + _LOG_RETRY_SECONDS
            return
        for line in self._cursor.advance(text):
            self._emit(line)
        self._next_logs = time.monotonic() + (time.monotonic() - began) / _LOG_SHARE
        if len(text) > _MAX_LOG_CHARACTERS:
            self._emit("the log is too long to follow; see the Ray dashboard")
            self._next_logs = float("inf")

    async def _final_event(self, backend: JobBackend, state: JobState) -> dict[str, Any]:
        try:
            text = await backend.logs(self._id)
        except RayUnavailable as error:
            text = ""
            self._emit(f"the last log lines of {self._id} cannot be read: {error}")
        if self._settings.log_lines_per_poll:
            for line in self._cursor.advance(text, final=True):
                self._emit(line)
        return {
            "submission_id": self._id,
            "status": str(state.status),
            "message": state.message,
            "error_type": state.error_type,
            "exit_code": state.exit_code,
            "log_tail": "\n".join(text.splitlines()[-_TAIL_LINES:])[-_TAIL_CHARACTERS:],
        }
