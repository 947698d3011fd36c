"""A local Airflow: the processes of `airflow standalone`, on loopback only and each in our hands.

`airflow standalone` itself orphans its children on SIGTERM, and its log servers listen on every interface.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.local.processes import Service, ServiceError, free_port, wait_until

__all__ = ["Airflow"]

_USER = "admin"
_ANSWER_SECONDS = 180.0
"""How long the API server may take: on a machine with ten busy processes a start of its own has taken 50."""
_COMPONENTS = {
    "api-server": ["api-server", "--workers", "1"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}


class Airflow:
    """Scheduler, API server, DAG processor and triggerer, on SQLite unless `database` names another."""

    def __init__(
        self, *, home: Path, dags: Path, env: Mapping[str, str], parallelism: int = 2, database: str = ""
    ) -> None:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        self._port = free_port()
        self.password = secrets.token_urlsafe(16)
        passwords = home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({_USER: self.password}))
        self._logs = home / "services"
        self._env = dict(env) | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": str(parallelism),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{_USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            # Not WARNING: the lines of a job are INFO, and the UI would show a task with an empty log.
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        }
        if database:
            self._env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = database
        self._services: dict[str, Service] = {}
        self._token = ""

    @property
    def url(self) -> str:
        """UI and REST API."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def user(self) -> str:
        return _USER

    @property
    def client_env(self) -> dict[str, str]:
        """What `videobert trigger` and `backfill` need in their environment."""
        return {
            "VIDEOBERT_AIRFLOW_URL": self.url,
            "VIDEOBERT_AIRFLOW_USER": _USER,
            "VIDEOBERT_AIRFLOW_PASSWORD": self.password,
        }

    def start(self) -> None:
        """Create the database and start the four processes."""
        self.run("db", "migrate")
        for name in _COMPONENTS:
            self._start(name)

    def kill_and_restart(self, name: str) -> None:
        """End one of the four, with the tasks that run in it, as a crash would (kill -9), and start it anew."""
        self._services.pop(name).kill()
        self._start(name)

    def wait_for_dags(self, names: list[str]) -> None:
        """Until the API server answers and the DAGs are parsed; an import error is a ServiceError."""
        wait_until(self._logs_in, services=list(self._services.values()), seconds=300, what="the Airflow API server")
        # The first call of a worker builds the execution API, for 5 s and on a busy machine for 50: longer than a
        # worker waits, and its task would be lost and queued anew.
        self._request("GET", "/execution/health", None, {})

        def parsed() -> bool:
            errors = self.call("GET", "/importErrors")["import_errors"]
            if errors:
                raise ServiceError(f"a DAG does not import: {errors[0]['filename']}: {errors[0]['stack_trace']}")
            found = {dag["dag_id"] for dag in self.call("GET", "/dags?limit=100")["dags"]}
            return found >= set(names)

        wait_until(parsed, services=list(self._services.values()), seconds=300, what="the DAGs")

    def run(self, *arguments: str) -> str:
        """One command of Airflow's own CLI; its output. Raises ServiceError when it fails."""
        done = subprocess.run(
            [_program(), *arguments], env=self._env, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise ServiceError(f"airflow {' '.join(arguments)} failed:\n{(done.stderr or done.stdout)[-2000:]}")
        return done.stdout

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request of the REST API."""
        return self._request(method, f"/api/v2{path}", body, {"Authorization": f"Bearer {self._token}"})

    def check(self) -> None:
        """Raise ServiceError when one of the processes has died."""
        for service in self._services.values():
            service.check()

    def stop(self) -> None:
        """End all four, the API server last: the others report to it while they end."""
        for service in reversed(self._services.values()):
            service.stop()
        self._services.clear()

    def _start(self, name: str) -> None:
        command = [_program(), *_COMPONENTS[name]]
        self._services[name] = Service(name, command, env=self._env, log=self._logs / f"{name}.log")

    def _logs_in(self) -> bool:
        try:
            answer = self._request("POST", "/auth/token", {"username": _USER, "password": self.password}, {})
        except (OSError, ServiceError):
            return False
        self._token = answer["access_token"]
        return True

    def _request(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data=data, method=method, headers={"Content-Type": "application/json", **headers}
        )
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise ServiceError(f"{method} {path} answered {error.code}: {error.read()[:1000]!r}") from error


def _program() -> str:
    return str(Path(sys.executable).with_name("airflow"))
