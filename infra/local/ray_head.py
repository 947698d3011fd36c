"""A local Ray head: loopback only, token required, small."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from infra.local.processes import Service, ServiceError, free_port, wait_until

__all__ = ["RayHead", "inherited_env"]

_REPOSITORY = Path(__file__).resolve().parents[2]
_OBJECT_STORE_BYTES = 150 * 1024 * 1024
_TRIES = 3


class RayHead:
    """A head (see `ray_process`) as a child of this process."""

    def __init__(self, *, env: Mapping[str, str], log: Path, num_cpus: int = 2) -> None:
        self._token = secrets.token_hex(32)
        self._port = free_port(start=28_000)
        # Short: Ray's socket paths may have 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        own = {k: v for k, v in env.items() if k != "RAY_ADDRESS"}
        own |= self.client_env | {
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            # Without it Ray turns 127.0.0.1 into the address of the machine, and its control service listens outside.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "PYTHONPATH": str(_REPOSITORY),
        }
        self._command = [
            sys.executable, "-m", "infra.local.ray_process", f"--dashboard-port={self._port}",
            f"--agent-port={free_port(start=self._port + 1)}", f"--num-cpus={num_cpus}",
            f"--object-store-bytes={_OBJECT_STORE_BYTES}", f"--folder={self.folder}",
        ]  # fmt: skip
        self._env, self._log = own, log
        self.service = Service("Ray head", self._command, env=own, log=log)

    @property
    def url(self) -> str:
        """Dashboard and Jobs API."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def client_env(self) -> dict[str, str]:
        """What a client of the Jobs API needs in its environment."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self._token, "RAY_ADDRESS_URL": self.url}

    @property
    def token(self) -> str:
        """What every request must carry."""
        return self._token

    def restart(self) -> None:
        """End the head and start one at the same address with the same token; it knows nothing of former jobs."""
        self.service.stop()
        self._started.unlink(missing_ok=True)
        self.service = Service("Ray head", self._command, env=self._env, log=self._log)

    def wait(self) -> None:
        """Until it has started and the Jobs API answers. Ray gives its parts 30 s, which a busy machine may miss."""
        for _ in range(_TRIES - 1):
            with contextlib.suppress(ServiceError):
                self._wait_once()
                return
            self.restart()
        self._wait_once()

    def get(self, path: str) -> bytes:
        """The body of a GET of the dashboard."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self._token}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def stop(self) -> None:
        """End it and remove its folder."""
        self.service.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_once(self) -> None:
        wait_until(self._answers, services=[self.service], seconds=120, what="the Ray head")

    @property
    def _started(self) -> Path:
        """Written by `ray_process` when all parts are there; the dashboard answers before that."""
        return self.folder / "ray_current_cluster"

    def _answers(self) -> bool:
        if not self._started.exists():
            return False
        try:
            self.get("/api/jobs/")
        except (urllib.error.URLError, OSError):
            return False
        return True


def inherited_env() -> dict[str, str]:
    """This environment with the virtual environment's programs first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # Every thread of a small process else gets a heap of its own, which adds up over forty processes.
    return dict(os.environ) | {"PATH": path, "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2")}
