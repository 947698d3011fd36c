"""The exception tree of the pipeline.

PipelineError                 anything this package raises on purpose
├── InputError                the caller's value is wrong: value, cause and cure in one sentence; exit code 2
│   └── EmptyBatchError       there is nothing yet to work on, which may be as it should be; exit code 3
├── VideoError                one video cannot be used; becomes a dead letter, harms no other video
├── BalanceError              counts of a stage do not add up; the commit is refused
└── ConflictError             another run committed the same thing meanwhile; the commit is refused
"""

from __future__ import annotations

__all__ = [
    "EMPTY_BATCH_EXIT_CODE", "BalanceError", "ConflictError", "EmptyBatchError", "InputError", "PipelineError",
    "VideoError",
]  # fmt: skip

EMPTY_BATCH_EXIT_CODE = 3
"""Of a command whose batch is a day without videos, or the first one: Airflow skips the rest of that run."""


class PipelineError(Exception):
    """Base of everything this package raises on purpose."""


class InputError(PipelineError):
    """A value given by the caller cannot be used; the message names value, cause and cure."""


class EmptyBatchError(InputError):
    """Nothing to ingest lies there for a day, or nothing that a batch could be compared with."""


class VideoError(PipelineError):
    """One video cannot be used. `reason` is a short stable class such as `undecodable` or `too-long`.

    `attempts` counts the tries that failed, `salvageable_seconds` tells how far from its start the video is good.
    """

    def __init__(self, reason: str, message: str, attempts: int = 1, salvageable_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.attempts = attempts
        self.salvageable_seconds = salvageable_seconds

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str, int, float]]:
        return VideoError, (self.reason, str(self), self.attempts, self.salvageable_seconds)


class BalanceError(PipelineError):
    """Videos in is not videos out plus dead letters; nothing was committed."""


class ConflictError(PipelineError):
    """Another run wrote meanwhile what this one would replace; nothing was committed, the same command resumes."""
