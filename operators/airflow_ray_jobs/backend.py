"""What the operator and the trigger need of a place where Ray jobs run: one small asynchronous seam."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Protocol, Self

__all__ = ["JobBackend", "JobSpec", "JobState", "JobStatus"]


class JobStatus(StrEnum):
    """The five states of a Ray job, by the names of the Jobs API."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def is_final(self) -> bool:
        """A final status never changes again."""
        return self not in (JobStatus.PENDING, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """What the server tells about one job at one moment."""

    status: JobStatus
    """State of the job."""
    message: str = ""
    """The server's own words."""
    error_type: str | None = None
    """Ray's error class of a FAILED job, such as RUNTIME_ENV_SETUP_FAILURE."""
    exit_code: int | None = None
    """Exit code of the entrypoint once it ended, where the server tells it."""
    start_seconds: float | None = None
    """When the job was accepted, in seconds since the epoch by the server's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """Everything a submission carries besides its id."""

    entrypoint: str
    """Shell command that the driver runs."""
    runtime_env: dict[str, Any] = field(default_factory=dict)
    """Ray runtime environment; local directories are not uploaded."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Free labels that the dashboard shows."""
    num_cpus: float | None = None
    """CPUs that the driver itself reserves."""
    num_gpus: float | None = None
    """GPUs that the driver itself reserves."""
    memory: int | None = None
    """Bytes of memory that the driver itself reserves."""
    resources: dict[str, float] = field(default_factory=dict)
    """Custom resources that the driver itself reserves."""
    limit_seconds: float | None = None
    """Time the job may take; only KubeRay can enforce it on its own."""


class JobBackend(Protocol):
    """A place where Ray jobs run.

    Every method raises `RayUnavailable` when it cannot be reached, and when its answer makes no sense: a proxy in
    between, or a head that starts, says odd things, and none of them is about the job.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def state(self, submission_id: str) -> JobState | None:
        """State of the job, or None where no job has this id."""

    async def submit(self, submission_id: str, spec: JobSpec) -> None:
        """Start the job. Raises `SubmissionExists` when the id is taken, `RayJobBadInput` when it is refused."""

    async def stop(self, submission_id: str) -> None:
        """Ask the job to stop; a job that has ended or is unknown is left as it is."""

    async def logs(self, submission_id: str) -> str:
        """Everything the driver has printed so far."""

    def link(self, submission_id: str) -> str:
        """Address of the job for a human."""
