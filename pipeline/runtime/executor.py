"""Where work runs: this process, a pool of processes, or Ray actors. What happens is the worker's business.

A worker is a plain class: `Worker(config)` loads once, `worker(task)` does one shard and returns its result.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, Protocol, TypeVar

__all__ = ["Executor", "LocalExecutor"]

Result = TypeVar("Result")


class Executor(Protocol):
    """Maps a worker over tasks; results come as they are done, in any order."""

    def map(
        self, worker: Callable[..., Callable[[Any], Result]], arguments: tuple[Any, ...], tasks: Sequence[Any]
    ) -> Iterator[Result]:
        """Results of `worker(*arguments)(task)`; the worker's exceptions are raised here."""
        ...

    def train(self, job: Callable[[int, int], None]) -> None:
        """Run `job(rank, world size)` on every training worker, to the end."""
        ...


class LocalExecutor:
    """Runs here: in this process, or in `processes` fresh ones."""

    def __init__(self, processes: int = 1) -> None:
        self._processes = processes

    def map(
        self, worker: Callable[..., Callable[[Any], Result]], arguments: tuple[Any, ...], tasks: Sequence[Any]
    ) -> Iterator[Result]:
        if not tasks:
            return
        processes = min(self._processes, len(tasks))
        if processes == 1:
            call = worker(*arguments)
            for task in tasks:
                yield call(task)
            return
        context = multiprocessing.get_context("spawn")  # fork and threaded libraries do not go together
        pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_load, initargs=(worker, arguments))
        try:
            for future in as_completed([pool.submit(_call, task) for task in tasks]):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def train(self, job: Callable[[int, int], None]) -> None:
        job(0, 1)


_loaded: Callable[[Any], Any] | None = None


def _load(worker: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    global _loaded  # one worker a process is the point of a pool
    _loaded = worker(*arguments)


def _call(task: Any) -> Any:
    assert _loaded is not None
    return _loaded(task)
