"""A Jobs API that runs no jobs, over real HTTP, and the little of Airflow that the operator touches."""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms

TOKEN = "token-" + secrets.token_hex(16)


@dataclass
class FakeJob:
    status: str
    message: str = ""
    error_type: str | None = None
    exit_code: int | None = None
    logs: str = ""
    start_time: int = 1_700_000_000_000
    request: dict[str, Any] = field(default_factory=dict)


@dataclass
class FakeJobsApi:
    """Answers as Ray 2.60 does: 404 for unknown ids, 500 with a traceback for used ones, 401 and 403 for tokens."""

    url: str = ""
    token: str | None = TOKEN
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    new_job_status: str = "RUNNING"
    failing_answers: int = 0
    delay_seconds: float = 0.0
    hide_once: set[str] = field(default_factory=set)
    lose_submit_answer: bool = False
    used_id_status: int = 500
    refuse_with: str | None = None
    submits_without_agent: int = 0
    odd_answers: list[Any] = field(default_factory=list)
    """What the next looks at a job are answered with instead."""

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls.append((request.method, request.path))
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if self.failing_answers > 0:
            self.failing_answers -= 1
            return web.Response(status=503, text="head is restarting")
        sent = request.headers.get("Authorization", "")
        if self.token is not None and not sent:
            return web.Response(status=401, text="Unauthorized: Missing authentication token")
        if self.token is not None and sent != f"Bearer {self.token}":
            return web.Response(status=403, text="Forbidden: Invalid authentication token")
        response: web.StreamResponse = await handler(request)
        return response

    async def submit(self, request: web.Request) -> web.Response:
        body = await request.json()
        submission_id = body["submission_id"]
        if self.submits_without_agent > 0:
            self.submits_without_agent -= 1
            return web.Response(status=500, text="No available agent to submit job, please try again later.")
        if self.refuse_with is not None:
            return web.Response(status=400, text=self.refuse_with)
        if submission_id in self.jobs:
            text = f"Traceback ...\nValueError: Job with submission_id {submission_id} already exists. Please use ..."
            return web.Response(status=self.used_id_status, text=text)
        self.jobs[submission_id] = FakeJob(self.new_job_status, request=body)
        if self.lose_submit_answer:
            self.lose_submit_answer = False
            return web.Response(status=502, text="proxy: upstream went away")
        return web.json_response({"job_id": submission_id, "submission_id": submission_id})

    async def status(self, request: web.Request) -> web.Response:
        submission_id = request.match_info["id"]
        job = self.jobs.get(submission_id)
        if self.odd_answers:
            odd = self.odd_answers.pop(0)
            return web.Response(text=odd) if isinstance(odd, str) else web.json_response(odd)
        if submission_id in self.hide_once:
            self.hide_once.discard(submission_id)
            job = None
        if job is None:
            return web.Response(status=404, text=f"Job {submission_id} does not exist")
        return web.json_response(
            {
                "type": "SUBMISSION",
                "submission_id": submission_id,
                "status": job.status,
                "message": job.message,
                "error_type": job.error_type,
                "driver_exit_code": job.exit_code,
                "start_time": job.start_time,
            }
        )

    async def logs(self, request: web.Request) -> web.Response:
        return web.json_response({"logs": self.jobs[request.match_info["id"]].logs})

    async def stop(self, request: web.Request) -> web.Response:
        submission_id = request.match_info["id"]
        if submission_id not in self.jobs:
            return web.Response(status=404, text=f"Job {submission_id} does not exist")
        self.stopped.append(submission_id)
        self.jobs[submission_id].status = "STOPPED"
        return web.json_response({"stopped": True})

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self.guard])
        app.router.add_post("/api/jobs/", self.submit)
        app.router.add_get("/api/jobs/{id}", self.status)
        app.router.add_get("/api/jobs/{id}/logs", self.logs)
        app.router.add_post("/api/jobs/{id}/stop", self.stop)
        return app


def serve(app: web.Application) -> Iterator[str]:
    """Serve the application from a thread with its own loop; yields its address."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    port = 0

    async def start() -> web.AppRunner:
        nonlocal port
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        return runner

    def main() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield f"http://127.0.0.1:{port}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


class FakeTaskInstance:
    """As much of a task instance as the operator touches."""

    def __init__(self, run_id: str = "manual__1", map_index: int = -1, max_tries: int = 2) -> None:
        self.dag_id, self.task_id, self.run_id, self.map_index = "dag", "task", run_id, map_index
        self.max_tries, self.try_number, self.id = max_tries, 1, uuid.uuid4()
        self.context_carrier: dict[str, Any] = {}
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@dataclass
class FakeSupervisor:
    """The other end of Airflow's pipe: Variables, and the states of task instances."""

    variables: dict[str, str] = field(default_factory=dict)
    states: dict[tuple[str, str, int], str | None] = field(default_factory=dict)
    """(run, task, map index) -> state; what is not there has never been."""
    asked: list[Any] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, message: Any) -> Any:
        with self.lock:
            self.asked.append(message)
            answer: Any = getattr(self, f"_{type(message).__name__}")(message)
            return answer

    def set_state(self, ti: FakeTaskInstance, state: str | None) -> None:
        self.states[ti.run_id, ti.task_id, ti.map_index] = state

    def _PutVariable(self, message: comms.PutVariable) -> comms.OKResponse:
        self.variables[message.key] = message.value or ""
        return comms.OKResponse(ok=True)

    def _DeleteVariable(self, message: comms.DeleteVariable) -> comms.OKResponse:
        self.variables.pop(message.key, None)
        return comms.OKResponse(ok=True)

    def _GetVariable(self, message: comms.GetVariable) -> comms.VariableResult | comms.ErrorResponse:
        if message.key not in self.variables:
            return comms.ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": message.key})
        return comms.VariableResult(key=message.key, value=self.variables[message.key])

    def _GetVariableKeys(self, message: comms.GetVariableKeys) -> comms.VariableKeysResult:
        found = sorted(key for key in self.variables if key.startswith(message.prefix or ""))
        return comms.VariableKeysResult(
            keys=found[message.offset : message.offset + message.limit], total_entries=len(found)
        )

    def _GetTaskStates(self, message: comms.GetTaskStates) -> comms.TaskStatesResult:
        found: dict[str, dict[str, Any]] = {}
        for (run, task, index), state in self.states.items():
            asked = run in (message.run_ids or [run]) and task in (message.task_ids or [task])
            if asked and message.map_index in (None, index):
                found.setdefault(run, {})[task if index < 0 else f"{task}_{index}"] = state
        return comms.TaskStatesResult(task_states=found)

    def _GetConnection(self, message: comms.GetConnection) -> comms.ErrorResponse:
        return comms.ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": message.conn_id})


@dataclass
class FakeApiServer:
    """Ray resources of a Kubernetes API server, and the proxy to one head; nothing reconciles them."""

    url: str = ""
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    patches: list[dict[str, Any]] = field(default_factory=list)
    proxy_headers: list[str | None] = field(default_factory=list)
    proxy_status: int = 200

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        sent = request.headers.get("Authorization", "")
        if sent != f"Bearer {TOKEN}":
            return web.json_response(_failure(403 if sent else 401, "Forbidden"), status=403 if sent else 401)
        response: web.StreamResponse = await handler(request)
        return response

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        name, namespace = body["metadata"]["name"], request.match_info["namespace"]
        kind, fields = (
            ("RayJob", RAY_JOB_FIELDS) if request.path.endswith("rayjobs") else ("RayCluster", CLUSTER_FIELDS)
        )
        unknown = set(body["spec"]) - fields
        if body["apiVersion"] != "ray.io/v1" or body["kind"] != kind or unknown or not DNS_1035.fullmatch(name):
            return web.json_response(_failure(422, f"{kind} {name!r} is invalid: {unknown}"), status=422)
        if (namespace, name) in self.objects:
            return web.json_response(_failure(409, f'{kind} "{name}" already exists'), status=409)
        body["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        self.objects[namespace, name] = body
        return web.json_response(body, status=201)

    async def read(self, request: web.Request) -> web.Response:
        found = self.objects.get((request.match_info["namespace"], request.match_info["name"]))
        if found is None:
            return web.json_response(_failure(404, "not found"), status=404)
        return web.json_response(found)

    async def delete(self, request: web.Request) -> web.Response:
        found = self.objects.pop((request.match_info["namespace"], request.match_info["name"]), None)
        if found is None:
            return web.json_response(_failure(404, "not found"), status=404)
        return web.json_response({"kind": "Status", "status": "Success"})

    async def patch(self, request: web.Request) -> web.Response:
        if request.content_type != "application/merge-patch+json":
            return web.json_response(_failure(415, f"unsupported media type {request.content_type}"), status=415)
        found = self.objects.get((request.match_info["namespace"], request.match_info["name"]))
        if found is None:
            return web.json_response(_failure(404, "not found"), status=404)
        patch = await request.json()
        self.patches.append(patch)
        for part, values in patch.items():
            found.setdefault(part, {}).update(values)
        return web.json_response(found)

    async def proxy(self, request: web.Request) -> web.Response:
        self.proxy_headers.append(request.headers.get("X-Ray-Authorization"))
        return web.json_response({"logs": f"log of {request.match_info['id']}\n"}, status=self.proxy_status)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self.guard])
        jobs = "/apis/ray.io/v1/namespaces/{namespace}/rayjobs"
        app.router.add_post(jobs, self.create)
        app.router.add_get(jobs + "/{name}", self.read)
        app.router.add_patch(jobs + "/{name}", self.patch)
        clusters = "/apis/ray.io/v1/namespaces/{namespace}/rayclusters"
        app.router.add_post(clusters, self.create)
        app.router.add_get(clusters + "/{name}", self.read)
        app.router.add_delete(clusters + "/{name}", self.delete)
        app.router.add_get("/api/v1/namespaces/{namespace}/services/head-svc:8265/proxy/api/jobs/{id}/logs", self.proxy)
        return app


DNS_1035 = re.compile(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?")  # and at most 47 characters, as KubeRay demands
CLUSTER_FIELDS = {
    "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
    "headServiceAnnotations", "managedBy", "rayVersion", "suspend", "upgradeStrategy", "workerGroupSpecs",
}  # fmt: skip
RAY_JOB_FIELDS = {
    "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint",
    "entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata",
    "rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode", "submitterConfig",
    "submitterPodTemplate", "suspend", "ttlSecondsAfterFinished",
}  # fmt: skip


def _failure(code: int, message: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}
