"""An isolated Airflow, a fake Jobs API, and a real Ray head for the tests marked `ray`."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.operators.fakes import TOKEN, FakeJobsApi, serve

if "AIRFLOW_HOME" not in os.environ:
    # Airflow writes its configuration into this folder when it is imported; keep it out of the user's home.
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeJobsApi]:
    """A running fake Jobs API, and the connection `ray_default` that leads to it."""
    api = FakeJobsApi()
    for url in serve(api.application()):
        api.url = url
        host = url.removeprefix("http://")
        monkeypatch.setenv("AIRFLOW_CONN_RAY_DEFAULT", f"ray://:{TOKEN}@{host}")
        yield api


@dataclass(frozen=True)
class RayHead:
    """A head of this test session."""

    url: str
    token: str


def _free_port() -> int:
    # Below the range that Ray hands out to workers (10002-19999) and below the kernel's ephemeral ports.
    for port in range(8300 + os.getpid() % 500, 9990):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 8300 and 9990")


def _wait_for(url: str, token: str, process: subprocess.Popen[bytes], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, f"ray start ended with {process.returncode}"
        try:
            request = urllib.request.Request(f"{url}/api/jobs/", headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(request, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise TimeoutError(f"no Ray head at {url} after {seconds} s")


@pytest.fixture(scope="session")
def ray_head() -> Iterator[RayHead]:
    """`ray start --head --block` in its own process group, token authentication on, ended by that group."""
    token = secrets.token_hex(32)
    temporary = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short: Ray's socket paths are limited to 107 bytes
    dashboard = _free_port()
    env = dict(os.environ)
    env.pop("RAY_ADDRESS", None)
    env.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token, OMP_NUM_THREADS="1", RAY_USAGE_STATS_ENABLED="0")
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats",
        "--node-ip-address=127.0.0.1", "--port=0", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
        "--num-cpus=1", "--num-gpus=0", f"--object-store-memory={150 * 1024 * 1024}", f"--temp-dir={temporary}",
    ]  # fmt: skip
    with open(temporary / "start.log", "wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{dashboard}", token, process, 120)
        yield RayHead(url=f"http://127.0.0.1:{dashboard}", token=token)
    finally:
        _end(process)
        shutil.rmtree(temporary, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)
    _, alive = psutil.wait_procs(children, timeout=5)
    for child in alive:
        child.kill()
