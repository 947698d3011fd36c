"""An isolated Airflow, a fake Jobs API, and a real Ray head for the tests marked `ray`."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from infra.local.ray_head import RayHead, inherited_env
from tests.airflow_ray_jobs.fakes import TOKEN, FakeJobsApi, FakeSupervisor, serve

if "AIRFLOW_HOME" not in os.environ:
    # Airflow writes its configuration into this folder when it is imported; keep it out of the user's home.
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)


@pytest.fixture(autouse=True)
def supervisor(monkeypatch: pytest.MonkeyPatch) -> FakeSupervisor:
    """Variables and states of task instances, behind the real Task SDK."""
    from airflow.sdk.execution_time import task_runner

    from airflow_ray_jobs import trigger

    found = FakeSupervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", found, raising=False)
    monkeypatch.setattr(trigger, "_last_sweep", float("inf"))  # none but those that a test asks for
    return found


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeJobsApi]:
    """A running fake Jobs API, and the connection `ray_default` that leads to it."""
    api = FakeJobsApi()
    for url in serve(api.application()):
        api.url = url
        host = url.removeprefix("http://")
        monkeypatch.setenv("AIRFLOW_CONN_RAY_DEFAULT", f"ray://:{TOKEN}@{host}")
        yield api


@pytest.fixture(scope="session")
def ray_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    """A real head with token authentication, one CPU."""
    head = RayHead(env=inherited_env(), log=tmp_path_factory.mktemp("ray") / "start.log", num_cpus=1)
    try:
        head.wait()
        yield head
    finally:
        head.stop()
