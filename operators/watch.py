"""Follow one job to its end: the loop that the trigger runs in the triggerer and the operator in a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from operators.backend import JobBackend, JobState
from operators.errors import RayUnavailable

__all__ = ["LogCursor", "WatchSettings", "watch"]

_TAIL_LINES = 40
_TAIL_CHARACTERS = 8_000
_LOG_SHARE = 0.1
"""Reading logs may take at most this share of the time: the Jobs API sends the whole log every time."""
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
    cursor = LogCursor(settings.log_lines_per_poll)
    errors, failure = 0, {"status": "UNREACHABLE", "message": ""}
    next_logs = 0.0
    while True:
        async with await connect() as backend:
            while True:
                try:
                    state = await backend.state(submission_id)
                    if state is not None and state.status.is_final:
                        return await _final_event(backend, submission_id, state, cursor, settings, emit)
                    if state is not None:
                        errors = 0
                        if settings.log_lines_per_poll and time.monotonic() >= next_logs:
                            next_logs = await _copy_logs(backend, submission_id, cursor, emit)
                    else:
                        errors += 1
                        failure = {"status": "LOST", "message": "the cluster does not know this job any more"}
                    refused = False
                except RayUnavailable as error:
                    errors += 1
                    failure = {"status": "UNREACHABLE", "message": str(error)}
                    refused = error.unauthorized
                    emit(f"no status of {submission_id} ({errors} of {settings.max_errors}): {error}")
                if errors >= settings.max_errors:
                    return {"submission_id": submission_id, **failure}
                pause = settings.poll_seconds
                if settings.deadline_seconds is not None:
                    left = settings.deadline_seconds - time.time()
                    if left <= 0:
                        message = "the deadline passed while the job was not finished"
                        return {"submission_id": submission_id, "status": "TIMEOUT", "message": message}
                    pause = min(pause, left)
                await asyncio.sleep(pause)
                if refused:
                    break


async def _copy_logs(
    backend: JobBackend, submission_id: str, cursor: LogCursor, emit: Callable[[str], object]
) -> float:
    """Emit new lines; returns the monotonic time before which the log shall not be read again."""
    began = time.monotonic()
    text = await backend.logs(submission_id)
    for line in cursor.advance(text):
        emit(line)
    if len(text) > _MAX_LOG_CHARACTERS:
        emit("the log is too long to follow; see the Ray dashboard")
        return float("inf")
    now = time.monotonic()
    return now + (now - began) / _LOG_SHARE


async def _final_event(
    backend: JobBackend,
    submission_id: str,
    state: JobState,
    cursor: LogCursor,
    settings: WatchSettings,
    emit: Callable[[str], object],
) -> dict[str, Any]:
    try:
        text = await backend.logs(submission_id)
    except RayUnavailable as error:
        text = ""
        emit(f"the last log lines of {submission_id} cannot be read: {error}")
    if settings.log_lines_per_poll:
        for line in cursor.advance(text, final=True):
            emit(line)
    tail = "\n".join(text.splitlines()[-_TAIL_LINES:])[-_TAIL_CHARACTERS:]
    return {
        "submission_id": submission_id,
        "status": str(state.status),
        "message": state.message,
        "error_type": state.error_type,
        "exit_code": state.exit_code,
        "log_tail": tail,
    }
