"""Child processes of the local stack: started in their own groups, watched, and ended without touching any other."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from videobert.errors import PipelineError

__all__ = ["Service", "ServiceError", "family_bytes", "free_port", "wait_until"]

_PR_SET_PDEATHSIG = 1


class ServiceError(PipelineError):
    """A local service did not start or died; the message holds the end of its log."""


class Service:
    """One process with its descendants, its output in a log file."""

    def __init__(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path, user: str | None = None
    ) -> None:
        self.name = name
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                command, env=dict(env), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True,
                user=user, preexec_fn=_end_with_parent,
            )  # fmt: skip
        self._handle = psutil.Process(self._process.pid)

    @property
    def pid(self) -> int:
        """Number of the process; also of its session."""
        return self._process.pid

    def check(self) -> None:
        """Raise ServiceError when it has ended."""
        code = self._process.poll()
        if code is not None:
            tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
            raise ServiceError(f"{self.name} ended with exit code {code}; the end of {self._log}:\n{tail}")

    def kill(self) -> None:
        """End the process and all it started at once (kill -9), as the loss of its container would."""
        _kill(self._family())
        self._process.wait()

    def stop(self, *, number: int = signal.SIGTERM, patience_seconds: float = 15.0) -> None:
        """Ask the process to end, then make it and whatever it started."""
        family = self._family()
        if self._process.poll() is None:
            self._process.send_signal(number)
        _, alive = psutil.wait_procs(family, timeout=patience_seconds)
        _kill(alive)
        self._process.wait()

    def _family(self) -> list[psutil.Process]:
        """The process, its descendants, and whatever else belongs to its session."""
        try:
            family = [self._handle, *self._handle.children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        known = {process.pid for process in family}
        return family + [p for p in psutil.process_iter() if p.pid not in known and _session(p) == self.pid]


def _end_with_parent() -> None:
    """In the child, before it becomes the program: Linux ends it with the thread that started it, even by kill -9."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        # psutil compares the start time too: a number that was given to a stranger is left alone.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _session(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except OSError:
        return 0


def family_bytes() -> int:
    """Memory of this process and all its descendants; what they share is counted once (proportional set size)."""
    total = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def free_port(*, start: int = 20_000) -> int:
    """A free loopback port, outside the range that Ray hands to its workers (10002-19999) and the kernel's own."""
    for port in range(start + os.getpid() % 2_000, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServiceError("no free port between 20000 and 32000 on 127.0.0.1; end some servers")


def wait_until(ready: Callable[[], bool], *, services: Sequence[Service], seconds: float, what: str) -> None:
    """Poll until `ready`; a service that dies meanwhile, or time running out, is a ServiceError."""
    until = time.monotonic() + seconds
    while not ready():
        for service in services:
            service.check()
        if time.monotonic() > until:
            raise ServiceError(f"{what} was not ready within {seconds:.0f} s; see the logs of the local stack")
        time.sleep(0.5)
