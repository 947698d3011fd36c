"""Run one Ray job as one Airflow task."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from airflow_ray_jobs.arguments import as_bool
from airflow_ray_jobs.attempts import Attempt, Claim, Origin
from airflow_ray_jobs.backend import JobBackend, JobSpec
from airflow_ray_jobs.endpoint import Endpoint
from airflow_ray_jobs.errors import RayJobStopped, RayUnavailable, error_of, exit_code_of
from airflow_ray_jobs.hook import RayHook
from airflow_ray_jobs.in_thread import run_in_thread
from airflow_ray_jobs.kuberay import KubeRay
from airflow_ray_jobs.lineage import lineage_of
from airflow_ray_jobs.link import RayJobLink
from airflow_ray_jobs.release import has_ended, release
from airflow_ray_jobs.result import Validate
from airflow_ray_jobs.retry import ray_retry_policy
from airflow_ray_jobs.submission import Submission
from airflow_ray_jobs.trigger import RayHeadTrigger, RayJobTrigger
from airflow_ray_jobs.watch import Watch, WatchSettings
from airflow_ray_jobs.watchers import Watcher, Watchers

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import BaseOperatorLink, Context

__all__ = ["RayJobOperator"]

_STOP_SECONDS = 20.0
_CLAIM_SECONDS = 3.0
"""How long a killed task waits for a submission under way: Airflow ends its process 5 s after it asked it to end."""
_SUBMITTED_ANEW = 3
"""How often one try submits a job again that a restarted head has forgotten."""
_BACKSTOP = timedelta(minutes=5)
_LEAST_DEFERRED_SECONDS = 10.0
"""The process that defers a task takes some seconds to end. Where the job ends before it, Airflow 3.3's scheduler
queues the task for its resumption, takes the end of the first process for that of the second, and fails it."""


class RayJobOperator(BaseOperator):
    """Submit a Ray job, wait for it in the triggerer, return the small JSON object it wrote.

    A retry, a second worker or a restarted Airflow finds the job that is already running and watches it; a job that
    succeeded is not run again while its result stands. A cleared task stops the job that it watched and starts a new
    one. Only the last task instance that watches a job stops it. See `airflow_ray_jobs.attempts` for the table.

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
    :param is_up_to_date: like `validate`, but asked only before a former success is reused: is what the job read, and
        what it wrote, as it was? With it, results outlive the Ray head that computed them.
    :param input_digest: what the job's output depends on (templated); default: entrypoint and runtime_env.
    :param job_key: replaces DAG, run, task and map index in the job's identity (templated), so that two runs of the
        same work share one job.
    :param runtime_env: Ray runtime environment (templated); in production only `env_vars`, the image holds the code.
    :param accelerator_type: Ray's name of an accelerator model, such as `H100`, the driver's node must have.
    :param deadline: time the job may take from its acceptance by Ray; after it the job is stopped and the task fails.
    :param skip_on_exit_code: exit code by which the job says that there is nothing to do: the task is skipped.
    :param force: run again even where a success could be reused (templated; `"true"`/`"false"` work too).
    :param poll_seconds: longest pause between two looks at the job; the first ones follow each other more closely.
    :param patience: how long Ray may be away, at the submission or later, before the task fails as unreachable (the job
        is left alone). Waiting costs no retry and holds no worker.
    :param defer_after: how long the worker itself waits before it hands the job to the triggerer: a short job ends
        without that detour, which takes Airflow ten seconds and more.
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
        is_up_to_date: Validate | str | None = None,
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
        patience: timedelta = timedelta(minutes=30),
        defer_after: timedelta = timedelta(seconds=20),
        skip_on_exit_code: int | None = None,
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
        self.is_up_to_date = is_up_to_date
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
        self.patience = patience
        self.defer_after = defer_after
        self.skip_on_exit_code = skip_on_exit_code
        self.force = force
        self.deferrable = deferrable
        self._endpoint: Endpoint | None = None
        self._submission_id: str | None = None
        self._me: Watcher | None = None
        self._result: dict[str, Any] = {}
        self._killed = False
        self._claiming: threading.Event | None = None  # set once a submission under way is over; no lock in a DAG file

    def execute(self, context: Context) -> Any:
        """Find or start the job, then wait for it here or in the triggerer."""
        return self._start(context)

    def ray_answered(self, context: Context, event: dict[str, Any], head_until: float, submitted_anew: int) -> Any:
        """Go on after a wait for Ray itself."""
        if not event["answered"]:
            raise RayUnavailable(f"Ray did not answer for {self.patience}: {event['message']}")
        return self._start(context, head_until=head_until, submitted_anew=submitted_anew)

    def execute_complete(self, context: Context, event: dict[str, Any], submitted_anew: int = 0) -> Any:
        """Turn the final event into the task's result or its exception."""
        submission_id, status, me = str(event["submission_id"]), event["status"], self._watcher(context)
        if status == "TIMEOUT":
            self._endpoint = self._endpoint or self._hook().endpoint()
            run_in_thread(self._release(submission_id, me))
        elif status != "UNREACHABLE":  # that job may run on, and is ours as long as this task is tried
            Watchers().remove(submission_id, me)
        if status == "LOST" and submitted_anew < _SUBMITTED_ANEW:
            self.log.warning("Ray has forgotten job %s; it is submitted again", submission_id)
            return self._start(context, submitted_anew=submitted_anew + 1)
        if status == "FAILED" and self.skip_on_exit_code is not None and exit_code_of(event) == self.skip_on_exit_code:
            raise AirflowSkipException(str(error_of(event)))
        if status != "SUCCEEDED":
            raise error_of(event)
        self._result = self._submission().result(submission_id)
        return self._result

    def _start(self, context: Context, *, head_until: float | None = None, submitted_anew: int = 0) -> Any:
        self._endpoint = self._hook().endpoint()
        while True:
            try:
                attempt = self._claim(context)
                break
            except RayUnavailable as error:
                head_until = head_until or time.time() + self.patience.total_seconds()
                if error.unauthorized or time.time() >= head_until:
                    raise
                self._wait_for_ray(error, head_until, submitted_anew)
        context["ti"].xcom_push(key=RayJobLink.xcom_key, value=self._backend().link(attempt.submission_id))
        self.log.info("Ray job %s: %s", attempt.submission_id, attempt.origin)
        if attempt.origin is Origin.REUSED:
            self._result = attempt.result or {}
            return self._result | {"reused": True}
        deadline = self._deadline_seconds(attempt)
        watch = Watch(attempt.submission_id, self._settings(deadline), self.log.info)
        seconds = self.defer_after.total_seconds() if self.deferrable else float("inf")
        event = run_in_thread(watch.run(self._connect, seconds=seconds), is_over=lambda: self._killed)
        if event is None:
            left = None if deadline is None else timedelta(seconds=max(0.0, deadline - time.time())) + _BACKSTOP
            self.defer(
                trigger=self._trigger(context, attempt, deadline, watch.log_offset),
                method_name="execute_complete",
                kwargs={"submitted_anew": submitted_anew},
                timeout=left,
            )
        return self.execute_complete(context, event, submitted_anew)

    def _wait_for_ray(self, error: RayUnavailable, head_until: float, submitted_anew: int) -> None:
        """Returns after a pause, or does not where the triggerer takes over."""
        self.log.info("Waiting for Ray, for %.0f s at most: %s", head_until - time.time(), error)
        if not self.deferrable:
            time.sleep(self.poll_seconds)
            return
        self.defer(
            trigger=RayHeadTrigger(
                conn_id=self.conn_id,
                address=self.address,
                namespace=self._namespace,
                until_seconds=head_until,
                pause_seconds=max(self.poll_seconds, _LEAST_DEFERRED_SECONDS),
            ),
            method_name="ray_answered",
            kwargs={"head_until": head_until, "submitted_anew": submitted_anew},
        )

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> OperatorLineage[Any, Any]:
        """For Airflow's OpenLineage provider: URLs that the result lists under `inputs` and `outputs`."""
        return lineage_of(self._result)

    def on_kill(self) -> None:
        """Let go of the job when the task is killed while it runs in a worker; deferred tasks are the trigger's."""
        self._killed = True
        if self._claiming is not None and not self._claiming.wait(_CLAIM_SECONDS):
            self.log.warning(
                "Task is killed while it submits Ray job %s; the next sweep looks at it", self._submission_id
            )
        if self._submission_id is not None and self._me is not None:
            self.log.info("Task is killed; it lets go of Ray job %s", self._submission_id)
            run_in_thread(self._release(self._submission_id, self._me))

    @property
    def _namespace(self) -> str | None:
        return None if self.kuberay is None else self.kuberay.namespace

    def _hook(self) -> RayHook:
        return RayHook(conn_id=self.conn_id, address=self.address, namespace=self._namespace)

    def _watcher(self, context: Context) -> Watcher:
        ti = context["ti"]
        return Watcher(
            dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
            clears=ti.max_tries, conn_id=self.conn_id, address=self.address, namespace=self._namespace,
        )  # fmt: skip

    def _backend(self) -> JobBackend:
        if self._endpoint is None:
            raise RuntimeError("the Ray endpoint is resolved in execute")
        return self._hook().backend_at(self._endpoint, self.kuberay)

    async def _connect(self) -> JobBackend:
        return self._backend()

    def _claim(self, context: Context) -> Attempt:
        """Find or start the attempt to watch. Raises RayJobStopped when the task was killed meanwhile."""
        self._me = self._watcher(context)
        self._claiming = threading.Event()
        attempt: Attempt = run_in_thread(self._claim_as(self._me, self._claiming))
        if self._killed:
            raise RayJobStopped(f"the task was ended while it submitted Ray job {attempt.submission_id}")
        return attempt

    async def _claim_as(self, me: Watcher, is_over: threading.Event) -> Attempt:
        """In a thread of its own: `on_kill` holds the main thread while it waits for this to be over."""
        wanted = self._submission()
        try:
            async with self._backend() as backend:
                claim = Claim(
                    backend=backend,
                    watchers=Watchers(),
                    me=me,
                    base=wanted.base(me),
                    make_spec=lambda submission_id: self._spec(submission_id, me),
                    reusable=wanted.reusable,
                    proves_itself=self.is_up_to_date is not None,
                    force=as_bool(self.force),
                    is_killed=lambda: self._killed,
                )
                attempt = await claim.make()
                self._submission_id = attempt.submission_id
                return attempt
        finally:
            is_over.set()

    def _submission(self) -> Submission:
        return Submission(
            entrypoint=self.entrypoint,
            result_uri=self.result_uri,
            validate=self.validate,
            is_up_to_date=self.is_up_to_date,
            input_digest=self.input_digest,
            job_key=self.job_key,
            runtime_env=self.runtime_env or {},
            metadata=self.metadata or {},
            num_cpus=self.entrypoint_num_cpus,
            num_gpus=self.entrypoint_num_gpus,
            memory=self.entrypoint_memory,
            resources=self.entrypoint_resources or {},
            accelerator_type=self.accelerator_type,
            deadline=self.deadline,
        )

    def _spec(self, submission_id: str, me: Watcher) -> JobSpec:
        self._submission_id = submission_id  # before the submission: a kill in between must find it
        return self._submission().spec(submission_id, me)

    def _deadline_seconds(self, attempt: Attempt) -> float | None:
        if self.deadline is None:
            return None
        began = time.time()
        if attempt.start_seconds is not None:
            began = min(began, attempt.start_seconds)  # a server whose clock runs ahead gives no extra time
        return began + self.deadline.total_seconds()

    def _settings(self, deadline_seconds: float | None) -> WatchSettings:
        return WatchSettings(
            poll_seconds=self.poll_seconds,
            deadline_seconds=deadline_seconds,
            patience_seconds=self.patience.total_seconds(),
            log_lines_per_poll=self.log_lines_per_poll,
        )

    def _trigger(
        self, context: Context, attempt: Attempt, deadline_seconds: float | None, log_offset: int
    ) -> RayJobTrigger:
        settings = self._settings(deadline_seconds)
        return RayJobTrigger(
            submission_id=attempt.submission_id,
            conn_id=self.conn_id,
            address=self.address,
            namespace=self._namespace,
            clears=self._watcher(context).clears,
            poll_seconds=settings.poll_seconds,
            deadline_seconds=deadline_seconds,
            patience_seconds=settings.patience_seconds,
            lost_seconds=settings.lost_seconds,
            log_lines_per_poll=settings.log_lines_per_poll,
            log_offset=log_offset,
            least_seconds=_LEAST_DEFERRED_SECONDS,
        )

    async def _release(self, submission_id: str, me: Watcher) -> None:
        """Let go of the job, and wait a little for its end where we were the last to watch it."""
        try:
            async with self._backend() as backend:
                if await release(backend, Watchers(), submission_id, me, leaving=[me]):
                    await has_ended(backend, submission_id, seconds=_STOP_SECONDS)
                else:
                    self.log.info("Ray job %s goes on: another task instance follows it", submission_id)
        except RayUnavailable as error:
            self.log.error("Ray job %s could not be stopped; the next sweep looks at it: %s", submission_id, error)
