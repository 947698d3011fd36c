"""A case in processes of its own, so that its memory is its own too."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from tests.benchmarks.planning.cases import CASES

__all__ = ["measured"]


def measured(name: str, size: int, parent: str) -> tuple[float, float, float]:
    """Seconds, CPU seconds and megabytes of a case, prepared in one process and run in another."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=parent, prefix="planning-") as folder:
        for step in (_prepare, _measure):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=step, args=(name, Path(folder), size, sender))
            process.start()
            sender.close()
            found: tuple[float, float, float] = receiver.recv()  # EOFError when the process failed
            process.join()
    return found


def _prepare(name: str, folder: Path, size: int, sender: Connection) -> None:
    CASES[name][1](folder, size)
    sender.send(())


def _measure(name: str, folder: Path, size: int, sender: Connection) -> None:
    case = CASES[name][2](folder, size)
    next(case)
    before, wall, cpu = _peak(), time.perf_counter(), time.process_time()
    for _ in case:
        pass
    sender.send((time.perf_counter() - wall, time.process_time() - cpu, _peak() - before))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
