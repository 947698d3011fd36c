"""A job as the operator's rendered arguments ask for it: its identity, its submission, and what of it can be reused."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_ray_jobs.arguments import driver_command, job_command, job_environment, job_resources
from airflow_ray_jobs.attempts import base_id, digest_of
from airflow_ray_jobs.backend import JobSpec
from airflow_ray_jobs.errors import RayJobResultError
from airflow_ray_jobs.result import Validate, accept_result, load_validate, read_result, result_uri_of
from airflow_ray_jobs.watchers import Watcher

__all__ = ["Submission"]

_log = logging.getLogger("airflow.task.ray_job")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The fields are those of `RayJobOperator`, whose docstring explains them."""

    entrypoint: str | Sequence[str]
    result_uri: str | None = None
    validate: Validate | str | None = None
    is_up_to_date: Validate | str | None = None
    input_digest: str | None = None
    job_key: str | None = None
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    num_cpus: float | None = None
    num_gpus: float | None = None
    memory: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    accelerator_type: str | None = None
    deadline: timedelta | None = None

    def base(self, me: Watcher) -> str:
        """What the ids of all attempts begin with."""
        digest = self.input_digest or digest_of(job_command(self.entrypoint), self.runtime_env)
        return base_id(self.job_key, digest) if self.job_key else base_id(*me.task_instance, digest)

    def spec(self, submission_id: str, me: Watcher) -> JobSpec:
        """What is sent under that id. Raises RayJobBadInput for a runtime environment that nothing uploads."""
        labels = {"dag_id": me.dag_id, "run_id": me.run_id, "task_id": me.task_id, "map_index": str(me.map_index)}
        return JobSpec(
            entrypoint=driver_command(job_command(self.entrypoint), submission_id, self.result_uri),
            runtime_env=job_environment(self.runtime_env),
            metadata=labels | {name: str(value) for name, value in self.metadata.items()},
            num_cpus=self.num_cpus,
            num_gpus=self.num_gpus,
            memory=self.memory,
            resources=job_resources(self.resources, self.accelerator_type),
            limit_seconds=None if self.deadline is None else self.deadline.total_seconds(),
        )

    def result(self, submission_id: str) -> dict[str, Any]:
        """What the job left behind; the id alone where it leaves nothing. Raises RayJobResultError."""
        if not self.result_uri:
            return {"submission_id": submission_id}
        return read_result(
            result_uri_of(self.result_uri, submission_id), submission_id, load_validate(self.validate)
        )  # fmt: skip

    def reusable(self, submission_id: str) -> dict[str, Any] | None:
        """The result of a former success, or None where it is not valid any more."""
        if not self.result_uri:
            return None
        try:
            result = self.result(submission_id)
            accept_result(result_uri_of(self.result_uri, submission_id), result, load_validate(self.is_up_to_date))
            return result
        except RayJobResultError as error:
            _log.info("No former result is reused: %s", error)
            return None
