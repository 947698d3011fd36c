"""Run one Ray job as one Airflow task."""

from __future__ import annotations

import asyncio
import shlex
import threading
import time
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_ray_jobs.attempts import Attempt, Origin, base_id, claim_attempt, digest_of
from airflow_ray_jobs.backend import JobBackend, JobSpec
from airflow_ray_jobs.endpoint import Endpoint
from airflow_ray_jobs.errors import RayJobBadInput, RayJobResultError, RayUnavailable, error_of
from airflow_ray_jobs.hook import RayHook
from airflow_ray_jobs.kuberay import KubeRay
from airflow_ray_jobs.lineage import lineage_of
from airflow_ray_jobs.link import RayJobLink
from airflow_ray_jobs.result import (
    RESULT_URI_VARIABLE,
    SUBMISSION_ID_VARIABLE,
    Validate,
    accept_result,
    load_validate,
    read_result,
    result_uri_of,
)
from airflow_ray_jobs.retry import ray_retry_policy
from airflow_ray_jobs.trigger import RayJobTrigger
from airflow_ray_jobs.watch import WatchSettings, watch

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import BaseOperatorLink, Context

__all__ = ["RayJobOperator"]

_STOP_SECONDS = 20.0
_BACKSTOP = timedelta(minutes=5)
_LEAST_DEFERRED_SECONDS = 10.0
"""The process that defers a task takes some seconds to end. Where the job ends before it, Airflow 3.3's scheduler
queues the task for its resumption, takes the end of the first process for that of the second, and fails it."""


class RayJobOperator(BaseOperator):
    """Submit a Ray job, wait for it in the triggerer, return the small JSON object it wrote.

    A retry, a second worker or a restarted Airflow finds the job that is already running and watches it; a job that
    succeeded is not run again while its result stands. See `airflow_ray_jobs.attempts` for the table.

    :param entrypoint: command of the driver: its words in a list, each templated and then quoted for the shell, or one
        shell command as a string (templated, not quoted: nothing that a user wrote may enter it). Exit code 2 means
        bad input and is not retried.
    :param conn_id: Airflow connection: host (dashboard URL, or host with port and schema), password (the token).
    :param address: dashboard URL to use without a connection; the token then comes from RAY_AUTH_TOKEN,
        RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token (templated).
    :param kuberay: give each job a cluster of its own (KubeRay's RayJob); the connection then leads to the Kubernetes
        API server (host, password = bearer token, extra `ca_file`; or extra `in_cluster`).
    :param result_uri: where the job writes its result, any fsspec URL (templated); `{submission_id}` in it is filled
        in. The job finds it as RAY_JOB_RESULT_URI, and its id as RAY_JOB_SUBMISSION_ID, which the object must repeat
        under `submission_id`. Without it the task returns the id alone and no former success is reused.
        URLs that it lists under `inputs` and `outputs` go to OpenLineage where Airflow's provider is installed.
    :param validate: function or dotted path that looks at a result and returns False, or raises ValueError or OSError,
        when it does not stand; asked after the job and before a former success is reused.
    :param stands: like `validate`, but asked only before a former success is reused: is what the job read, and what it
        wrote, as it was? With it, results outlive the Ray head that computed them.
    :param input_digest: what the job's output depends on (templated); default: entrypoint and runtime_env.
    :param job_key: replaces DAG, run, task and map index in the job's identity (templated), so that two runs of the
        same work share one job.
    :param runtime_env: Ray runtime environment (templated); in production only `env_vars`, the image holds the code.
    :param accelerator_type: Ray's name of an accelerator model, such as `H100`, the driver's node must have.
    :param deadline: time the job may take from its acceptance by Ray; after it the job is stopped and the task fails.
    :param force: run again even where a success could be reused (templated; `"true"`/`"false"` work too).
    :param max_errors: unanswered looks in a row before the task fails as unreachable (the job is left alone).
    """

    template_fields: Sequence[str] = (
        "entrypoint",
        "address",
        "result_uri",
        "input_digest",
        "job_key",
        "runtime_env",
        "metadata",
        "force",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "entrypoint": "bash",
        "runtime_env": "json",
        "metadata": "json",
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (RayJobLink(),)
    ui_color = "#cfe8fc"

    def __init__(
        self,
        *,
        entrypoint: str | Sequence[str],
        conn_id: str = RayHook.default_conn_name,
        address: str | None = None,
        kuberay: KubeRay | None = None,
        result_uri: str | None = None,
        validate: Validate | str | None = None,
        stands: Validate | str | None = None,
        input_digest: str | None = None,
        job_key: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        metadata: dict[str, str] | None = None,
        entrypoint_num_cpus: float | None = None,
        entrypoint_num_gpus: float | None = None,
        entrypoint_memory: int | None = None,
        entrypoint_resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        deadline: timedelta | None = None,
        poll_seconds: float = 5.0,
        log_lines_per_poll: int = 200,
        max_errors: int = 12,
        force: bool | str = False,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retry_policy", ray_retry_policy())
        super().__init__(**kwargs)
        self.entrypoint = entrypoint
        self.conn_id = conn_id
        self.address = address
        self.kuberay = kuberay
        self.result_uri = result_uri
        self.validate = validate
        self.stands = stands
        self.input_digest = input_digest
        self.job_key = job_key
        self.runtime_env = runtime_env
        self.metadata = metadata
        self.entrypoint_num_cpus = entrypoint_num_cpus
        self.entrypoint_num_gpus = entrypoint_num_gpus
        self.entrypoint_memory = entrypoint_memory
        self.entrypoint_resources = entrypoint_resources
        self.accelerator_type = accelerator_type
        self.deadline = deadline
        self.poll_seconds = poll_seconds
        self.log_lines_per_poll = log_lines_per_poll
        self.max_errors = max_errors
        self.force = force
        self.deferrable = deferrable
        self._endpoint: Endpoint | None = None
        self._submission_id: str | None = None
        self._result: dict[str, Any] = {}

    def execute(self, context: Context) -> Any:
        """Find or start the job, then wait for it here or in the triggerer."""
        self._endpoint = self._hook().endpoint()
        attempt = _run(self._claim(context))
        self._submission_id = attempt.submission_id
        context["ti"].xcom_push(key=RayJobLink.xcom_key, value=self._backend().link(attempt.submission_id))
        self.log.info("Ray job %s: %s", attempt.submission_id, attempt.origin)
        if attempt.origin is Origin.REUSED:
            self._result = attempt.result or {}
            return self._result | {"reused": True}
        deadline = self._deadline_seconds(attempt)
        if self.deferrable:
            left = None if deadline is None else timedelta(seconds=max(0.0, deadline - time.time())) + _BACKSTOP
            self.defer(trigger=self._trigger(attempt, deadline), method_name="execute_complete", timeout=left)
        settings = WatchSettings(
            poll_seconds=self.poll_seconds,
            deadline_seconds=deadline,
            max_errors=self.max_errors,
            log_lines_per_poll=self.log_lines_per_poll,
        )
        return self.execute_complete(
            context, _run(watch(self._connect, attempt.submission_id, settings, self.log.info))
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Turn the final event into the task's result or its exception."""
        submission_id = str(event["submission_id"])
        if event["status"] == "TIMEOUT":
            self._endpoint = self._endpoint or self._hook().endpoint()
            _run(self._stop(submission_id))
        if event["status"] != "SUCCEEDED":
            raise error_of(event)
        if not self.result_uri:
            return {"submission_id": submission_id}
        uri = result_uri_of(self.result_uri, submission_id)
        self._result = read_result(uri, submission_id, load_validate(self.validate))
        return self._result

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> OperatorLineage[Any, Any]:
        """For Airflow's OpenLineage provider: URLs that the result lists under `inputs` and `outputs`."""
        return lineage_of(self._result)

    def on_kill(self) -> None:
        """Stop the job when the task is killed while it runs in a worker; deferred tasks are the trigger's."""
        if self._submission_id is not None:
            self.log.info("Task is killed; stopping Ray job %s", self._submission_id)
            _run(self._stop(self._submission_id))

    def _hook(self) -> RayHook:
        namespace = None if self.kuberay is None else self.kuberay.namespace
        return RayHook(conn_id=self.conn_id, address=self.address, namespace=namespace)

    def _backend(self) -> JobBackend:
        if self._endpoint is None:
            raise RuntimeError("the Ray endpoint is resolved in execute")
        return self._hook().backend_at(self._endpoint, self.kuberay)

    async def _connect(self) -> JobBackend:
        return self._backend()

    async def _claim(self, context: Context) -> Attempt:
        digest = self.input_digest or digest_of(self._command(), self.runtime_env or {})
        ti = context["ti"]
        own = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
        base = base_id(self.job_key, digest) if self.job_key else base_id(*own, digest)
        labels = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": str(ti.map_index)}
        async with self._backend() as backend:
            return await claim_attempt(
                backend,
                base,
                lambda submission_id: self._spec(submission_id, labels),
                reusable=self._reusable,
                proves_itself=self.stands is not None,
                force=_as_bool(self.force),
            )

    def _command(self) -> str:
        """The rendered entrypoint as one shell command."""
        if isinstance(self.entrypoint, str):
            return self.entrypoint
        return shlex.join(str(word) for word in self.entrypoint)

    def _spec(self, submission_id: str, labels: dict[str, str]) -> JobSpec:
        self._submission_id = submission_id  # before the submission: a kill in between must find it
        runtime_env = dict(self.runtime_env or {})
        for field in ("working_dir", "py_modules"):
            for path in [runtime_env.get(field)] if field == "working_dir" else runtime_env.get(field) or []:
                if path and "://" not in str(path):
                    raise RayJobBadInput(
                        f"runtime_env {field}={path!r} is a local path, which this operator does not upload; put the "
                        "code into the image, or give a zip by URI, or PYTHONPATH in env_vars on a local cluster"
                    )
        env_vars = {name: str(value) for name, value in (runtime_env.get("env_vars") or {}).items()}
        env_vars[SUBMISSION_ID_VARIABLE] = submission_id
        if self.result_uri:
            env_vars[RESULT_URI_VARIABLE] = result_uri_of(self.result_uri, submission_id)
        resources = dict(self.entrypoint_resources or {})
        if self.accelerator_type:
            # Ray's own idiom: nodes carry one unit of their model's resource, a task takes a sliver of it.
            resources[f"accelerator_type:{self.accelerator_type}"] = 0.001
        return JobSpec(
            entrypoint=self._command(),
            runtime_env={**runtime_env, "env_vars": env_vars},
            metadata=labels | {name: str(value) for name, value in (self.metadata or {}).items()},
            num_cpus=self.entrypoint_num_cpus,
            num_gpus=self.entrypoint_num_gpus,
            memory=self.entrypoint_memory,
            resources=resources,
            limit_seconds=None if self.deadline is None else self.deadline.total_seconds(),
        )

    def _reusable(self, submission_id: str) -> dict[str, Any] | None:
        if not self.result_uri:
            return None
        uri = result_uri_of(self.result_uri, submission_id)
        try:
            result = read_result(uri, submission_id, load_validate(self.validate))
            accept_result(uri, result, load_validate(self.stands))
            return result
        except RayJobResultError as error:
            self.log.info("No former result is reused: %s", error)
            return None

    def _deadline_seconds(self, attempt: Attempt) -> float | None:
        if self.deadline is None:
            return None
        began = time.time()
        if attempt.start_seconds is not None:
            began = min(began, attempt.start_seconds)  # a server whose clock runs ahead gives no extra time
        return began + self.deadline.total_seconds()

    def _trigger(self, attempt: Attempt, deadline_seconds: float | None) -> RayJobTrigger:
        return RayJobTrigger(
            submission_id=attempt.submission_id,
            conn_id=self.conn_id,
            address=self.address,
            namespace=None if self.kuberay is None else self.kuberay.namespace,
            poll_seconds=self.poll_seconds,
            deadline_seconds=deadline_seconds,
            max_errors=self.max_errors,
            log_lines_per_poll=self.log_lines_per_poll,
            least_seconds=_LEAST_DEFERRED_SECONDS,
        )

    async def _stop(self, submission_id: str) -> None:
        """Stop and wait a little for the end, so that a retry does not attach to a dying job."""
        try:
            async with self._backend() as backend:
                await backend.stop(submission_id)
                until = time.monotonic() + _STOP_SECONDS
                while time.monotonic() < until:
                    state = await backend.state(submission_id)
                    if state is None or state.status.is_final:
                        return
                    await asyncio.sleep(0.5)
        except RayUnavailable as error:
            self.log.error("Ray job %s could not be stopped: %s", submission_id, error)


def _as_bool(value: bool | str) -> bool:
    """Templates render to strings."""
    if isinstance(value, bool):
        return value
    text = value.strip().lower()
    if text not in ("true", "false", "1", "0", "", "none"):
        raise RayJobBadInput(f"force={value!r} is neither true nor false; render it to one of the two")
    return text in ("true", "1")


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread of its own: `on_kill` interrupts the main thread, which may be inside a loop."""
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # handed over to the caller's thread, where it is raised
            failure.append(error)

    thread = threading.Thread(target=target, name="ray-job", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
