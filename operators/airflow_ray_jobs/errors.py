"""Why a Ray job did not give a result.

RayJobError                anything these operators raise on purpose
├── RayJobBadInput         the job cannot succeed as asked: exit code 2, or a submission the server refused; no retry
├── RayJobSetupError       its runtime environment cannot be built; no retry
├── RayJobResultError      the job succeeded, but its result file is missing or not acceptable; no retry
├── RayJobFailed           the job failed for another reason; a retry starts the next attempt
├── RayJobStopped          somebody stopped the job
├── RayJobTimeout          the deadline passed; the job was told to stop
├── RayJobLost             the cluster forgets the job again and again: a head without persistence restarts
└── RayUnavailable         the server does not answer, or refuses the credentials; the job may still run
    ├── RayNotReady        the head answers, but has no node yet that takes jobs
    └── SubmissionExists   another submission took this id first; re-read its status
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "BAD_INPUT_EXIT_CODE",
    "RayJobBadInput",
    "RayJobError",
    "RayJobFailed",
    "RayJobLost",
    "RayJobResultError",
    "RayJobSetupError",
    "RayJobStopped",
    "RayJobTimeout",
    "RayNotReady",
    "RayUnavailable",
    "SubmissionExists",
    "error_of",
    "exit_code_of",
]

BAD_INPUT_EXIT_CODE = 2
"""An entrypoint that exits with this code says: these arguments or inputs can never work (as argparse does)."""

_EXIT_CODE_IN_MESSAGE = re.compile(r"failed with exit code (\d+)\b")


class RayJobError(Exception):
    """Base of everything these operators raise on purpose."""


class RayJobBadInput(RayJobError):
    """The job cannot succeed as asked."""


class RayJobSetupError(RayJobError):
    """The runtime environment of the job cannot be built."""


class RayJobResultError(RayJobError):
    """The job succeeded, but its result file is missing or not acceptable."""


class RayJobFailed(RayJobError):
    """The job failed, and neither its input nor its environment is known to be the cause."""


class RayJobStopped(RayJobError):
    """Somebody stopped the job."""


class RayJobTimeout(RayJobError):
    """The deadline passed before the job ended."""


class RayJobLost(RayJobError):
    """The cluster no longer knows the job."""


class RayUnavailable(RayJobError):
    """The server does not answer or refuses the credentials. `unauthorized` tells the second."""

    def __init__(self, message: str, *, unauthorized: bool = False) -> None:
        super().__init__(message)
        self.unauthorized = unauthorized


class RayNotReady(RayUnavailable):
    """The head answers before the agent of its first node does: it has just started, or is overloaded."""


class SubmissionExists(RayUnavailable):
    """The submission id is taken: ours from before, or another worker's of this moment."""


_BY_STATUS: dict[str, type[RayJobError]] = {
    "STOPPED": RayJobStopped,
    "TIMEOUT": RayJobTimeout,
    "LOST": RayJobLost,
    "UNREACHABLE": RayUnavailable,
}


def exit_code_of(event: Mapping[str, Any]) -> int | None:
    """Exit code of the entrypoint, where the server tells it."""
    code = event.get("exit_code")
    if code is None and (found := _EXIT_CODE_IN_MESSAGE.search(str(event.get("message") or ""))):
        return int(found[1])
    return code


def error_of(event: Mapping[str, Any]) -> RayJobError:
    """Turn the final event of a job that gave no result into the exception to raise, log tail included."""
    message = str(event.get("message") or "")
    kind = _BY_STATUS.get(str(event["status"]), RayJobFailed)
    if kind is RayJobFailed:
        exit_code = exit_code_of(event)
        # KubeRay passes Ray's message on, but neither its error type nor the exit code.
        if event.get("error_type") == "RUNTIME_ENV_SETUP_FAILURE" or message.startswith("runtime_env setup failed"):
            kind = RayJobSetupError
        elif exit_code == BAD_INPUT_EXIT_CODE or event.get("error_type") == "ValidationFailed":
            kind = RayJobBadInput
    text = f"Ray job {event['submission_id']} ended as {event['status']}: {message}"
    if event.get("error_type"):
        text += f" [{event['error_type']}]"
    tail = str(event.get("log_tail") or "")
    if tail and tail not in message:
        text += f"\nLast log lines:\n{tail}"
    return kind(text)
