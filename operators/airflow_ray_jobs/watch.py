"""Follow one job to its end: the loop that the trigger runs in the triggerer and the operator in a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from airflow_ray_jobs.backend import JobBackend, JobState
from airflow_ray_jobs.errors import RayUnavailable

__all__ = ["LogCursor", "WatchSettings", "watch"]

_TAIL_LINES = 40
_TAIL_CHARACTERS = 8_000
_LOG_SHARE = 0.1
"""Reading logs may take at most this share of the time: the Jobs API sends the whole log every time."""
_LOG_RETRY_SECONDS = 60.0
_MAX_LOG_CHARACTERS = 16 * 1024 * 1024
"""A longer log is not followed any more: decoding it would hold the event loop of every other trigger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """How to follow a job."""

    poll_seconds: float = 5.0
    """Pause between two looks."""
    deadline_seconds: float | None = None
    """When to give up, in seconds since the epoch; None waits for ever."""
    max_errors: int = 12
    """Unanswered looks in a row before the job counts as unreachable: a restarting head is not a failed job."""
    log_lines_per_poll: int = 200
    """Log lines copied at one look at most; 0 copies none."""


class LogCursor:
    """Cuts what is new out of an ever longer log."""

    def __init__(self, max_lines: int) -> None:
        self._max_lines = max_lines
        self._offset = 0

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


async def watch(
    connect: Callable[[], Awaitable[JobBackend]],
    submission_id: str,
    settings: WatchSettings,
    emit: Callable[[str], object],
) -> dict[str, Any]:
    """Follow the job and return its final event: `submission_id`, `status`, `message` and, of a job that ended,
    `error_type`, `exit_code`, `log_tail`.

    `status` is SUCCEEDED, FAILED, STOPPED, or one of ours: TIMEOUT (still running at the deadline), LOST (the server
    knows no such job), UNREACHABLE (no answer). `connect` is called again after access was refused: tokens rotate.
    """
    watcher = _Watcher(submission_id, settings, emit)
    while True:
        async with await connect() as backend:
            refused = False
            while not refused:
                event, refused = await watcher.look(backend)
                if event is not None:
                    return event
                await asyncio.sleep(watcher.pause())


class _Watcher:
    """What is remembered from one look to the next."""

    def __init__(self, submission_id: str, settings: WatchSettings, emit: Callable[[str], object]) -> None:
        self._id = submission_id
        self._settings = settings
        self._emit = emit
        self._cursor = LogCursor(settings.log_lines_per_poll)
        self._errors = 0
        self._next_logs = 0.0 if settings.log_lines_per_poll else float("inf")

    async def look(self, backend: JobBackend) -> tuple[dict[str, Any] | None, bool]:
        """Look once; returns the final event if it is time for one, and whether access was refused."""
        try:
            state = await backend.state(self._id)
        except RayUnavailable as error:
            self._emit(f"no status of {self._id} ({self._errors + 1} of {self._settings.max_errors}): {error}")
            return self._miss("UNREACHABLE", str(error)), error.unauthorized
        if state is None:
            return self._miss("LOST", "the cluster does not know this job any more"), False
        if state.status.is_final:
            return await self._final_event(backend, state), False
        self._errors = 0
        if time.monotonic() >= self._next_logs:
            await self._copy_logs(backend)
        return self._deadline_event(), False

    def pause(self) -> float:
        """Seconds until the next look; never beyond the deadline."""
        if self._settings.deadline_seconds is None:
            return self._settings.poll_seconds
        return max(0.0, min(self._settings.poll_seconds, self._settings.deadline_seconds - time.time()))

    def _miss(self, status: str, message: str) -> dict[str, Any] | None:
        self._errors += 1
        if self._errors >= self._settings.max_errors:
            return {"submission_id": self._id, "status": status, "message": message}
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
