"""Least privilege, by use: record what the code asks of Kubernetes and of S3, and compare with what is granted."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from airflow_ray_jobs.backend import JobSpec
from airflow_ray_jobs.endpoint import Endpoint
from airflow_ray_jobs.kuberay import KubeRay, KubeRayJobs
from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from tests.airflow_ray_jobs.fakes import TOKEN, FakeApiServer, serve
from tests.infra.material import INFRA, manifests
from videobert.runtime.storage import Store

VERBS = {"POST": "create", "GET": "get", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}
ACTIONS = {
    "ListObjectsV2": "s3:ListBucket", "HeadBucket": "s3:ListBucket", "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject", "PutObject": "s3:PutObject", "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject", "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload", "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
}  # fmt: skip
"""S3's operations and the right each needs (Service Authorization Reference)."""


def granted_by_the_role() -> set[tuple[str, str]]:
    [role] = [document for document in manifests() if document["kind"] == "Role"]
    return {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


def test_the_role_is_what_the_rayjob_backend_asks_for_and_no_more() -> None:
    asked: set[tuple[str, str]] = set()

    @web.middleware
    async def record(request: web.Request, handler: Any) -> web.StreamResponse:
        resource = "services/proxy" if "/proxy/" in request.path else request.path.split("/")[6]
        asked.add((resource, VERBS[request.method]))
        found: web.StreamResponse = await handler(request)
        return found

    fake = FakeApiServer()
    application = fake.application()
    application.middlewares.append(record)
    template = KubeRay(ray_cluster_spec={"headGroupSpec": {}}, namespace="videobert")

    async def use(url: str) -> None:
        async with KubeRayJobs(Endpoint(url=url, token=TOKEN, ray_token="ray-" + TOKEN), "videobert", template) as jobs:
            await jobs.submit("a-a1", JobSpec(entrypoint="true"))
            [found] = fake.objects.values()
            found["status"] = {"rayClusterStatus": {"head": {"serviceName": "head"}}}
            await jobs.state("a-a1")
            await jobs.logs("a-a1")
            await jobs.stop("a-a1")

    for url in serve(application):
        asyncio.run(use(url))
    assert asked == granted_by_the_role()


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = S3Server(folder=tmp_path / "s3", env=inherited_env(), log=tmp_path / "s3.log")
    try:
        server.wait("videobert")
        for name, value in server.client_env.items():
            monkeypatch.setenv(name, value)
        yield "s3://videobert/root"
    finally:
        server.stop()


def granted_by_the_policy(folder: str) -> set[str]:
    """Actions on the bucket itself and on what lies below `folder`, from the policy of the pipeline."""
    load: Any = importlib.import_module("hcl2").load
    with (INFRA / "terraform" / "access.tf").open() as file:
        [document] = [d for found in load(file)["data"] for d in found.values() if '"pipeline"' in d]
    actions: set[str] = set()
    for statement in document['"pipeline"']["statement"]:
        [resource] = statement["resources"]
        if "/" not in resource or f"${{var.{folder}_prefix}}/*" in resource:
            actions |= {action.strip('"') for action in statement["actions"]}
    return actions


@pytest.mark.slow
def test_the_policy_is_what_the_store_asks_for_and_no_more(s3: str, tmp_path: Path) -> None:
    asked: set[str] = set()
    store = Store(s3)
    # botocore's own event before each request; the store is asked for its client, since it has no hook for this.
    store._fs.connect()
    store._fs.s3.meta.events.register("before-call.s3", lambda model, **_: asked.add(model.name))
    store.check_root()
    store.write("a/one", b"1")
    (tmp_path / "large").write_bytes(os.urandom(1 << 20) * 110)  # above s3fs's limit for a single PUT
    store.upload(tmp_path / "large", "a/large")
    assert store.read_or_none("a/none") is None
    assert store.exists("a") and store.list("a") and store.folders("") == ["a"]
    store.download("a/one", tmp_path / "one")
    store.delete(["a/one", "a/none", "a/large"])
    assert {"CreateMultipartUpload", "ListObjectsV2", "DeleteObjects"} <= asked
    needed = {ACTIONS[name] for name in asked}
    # A failed upload is aborted; a healthy server gives no occasion to see it.
    assert needed | {"s3:AbortMultipartUpload"} == granted_by_the_policy("root")
    assert granted_by_the_policy("source") == {"s3:ListBucket", "s3:GetObject"}


def test_no_action_and_no_resource_is_a_wildcard() -> None:
    text = (INFRA / "terraform" / "access.tf").read_text()
    assert re.findall(r'"s3:[^"]*\*[^"]*"', text) == []
    assert re.findall(r'resources\s*=\s*\["\*"\]', text) == []
