"""Where work runs: this process, a pool of processes, or Ray actors. What happens is the worker's business.

A worker is a plain class: `Worker(*arguments)` loads once, `worker(task)` does one shard and returns its result. It is
named by its path, `module:Class`, so that whoever plans the work need not import what the work needs.
"""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from multiprocessing.process import BaseProcess
from signal import SIGKILL, SIGTERM, strsignal
from typing import Any, Protocol

from videobert.errors import PipelineError

__all__ = ["Executor", "LocalExecutor", "Service", "Worker", "load"]

Worker = str | Callable[..., Callable[..., Any]]
"""`module:Class`, or the class itself."""

Service = Callable[..., Any]
"""`service(method, *arguments)` waits for the answer; travels among the arguments of a worker."""


def load(worker: Worker) -> Callable[..., Callable[..., Any]]:
    """The class that a path names."""
    if not isinstance(worker, str):
        return worker
    module, _, name = worker.partition(":")
    found: Callable[..., Callable[..., Any]] = getattr(importlib.import_module(module), name)
    return found


class Executor(Protocol):
    """Maps a worker over tasks; results come as they are done, in any order."""

    def map(self, worker: Worker, arguments: tuple[Any, ...], tasks: Sequence[Any]) -> Iterator[Any]:
        """Results of `worker(*arguments)(task)`; the worker's exceptions are raised here.

        Raises PipelineError when a worker was killed, and none can take its place.
        """
        ...

    def serve(self, worker: Worker, arguments: tuple[Any, ...]) -> Service | None:
        """`worker(*arguments)` that the workers of `map` can ask, in place of one in each; None where there is none.

        What it answers must depend on the question alone: one that is lost is asked again elsewhere.
        """
        ...

    def worker_group(
        self, worker: Worker, arguments: Sequence[tuple[Any, ...]]
    ) -> AbstractContextManager[Callable[..., list[Any]]]:
        """One `worker(*arguments)` for each of the arguments; `group(method, *arguments)` asks all of them at once.

        They keep what they hold until the end. When one is lost the work of all is: PipelineError.
        """
        ...

    def train(self, worker: Worker, arguments: Mapping[str, Any]) -> None:
        """Run `worker(**arguments)(rank, world size)` in every training worker, to the end."""
        ...

    @property
    def width(self) -> int:
        """How many workers there are at once at most."""
        ...


class LocalExecutor:
    """Runs here: in this process, or in `processes` fresh ones."""

    def __init__(self, processes: int = 1) -> None:
        self._processes = processes

    def map(self, worker: Worker, arguments: tuple[Any, ...], tasks: Sequence[Any]) -> Iterator[Any]:
        if not tasks:
            return
        processes = min(self._processes, len(tasks))
        if processes == 1:
            call = load(worker)(*arguments)
            for task in tasks:
                yield call(task)
            return
        context = multiprocessing.get_context("spawn")  # fork and threaded libraries do not go together
        pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(worker, arguments))
        others, members = multiprocessing.active_children(), list[BaseProcess]()
        try:
            futures = [pool.submit(_call, task) for task in tasks]
            members = [process for process in multiprocessing.active_children() if process not in others]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            pool.shutdown(wait=True, cancel_futures=True)
            raise PipelineError(_obituary(worker, members)) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def serve(self, worker: Worker, arguments: tuple[Any, ...]) -> Service | None:
        return None

    @contextmanager
    def worker_group(self, worker: Worker, arguments: Sequence[tuple[Any, ...]]) -> Iterator[Callable[..., list[Any]]]:
        members = [load(worker)(*each) for each in arguments]
        yield lambda method, *given: [getattr(member, method)(*given) for member in members]

    def train(self, worker: Worker, arguments: Mapping[str, Any]) -> None:
        load(worker)(**arguments)(0, 1)

    @property
    def width(self) -> int:
        return 1  # a group lives in this process, whose threads torch uses already


_loaded: Callable[[], Callable[[Any], Any]]
"""In a process of a pool: gives its worker. The first task loads it, so that what fails then is that task's error."""


def _start(worker: Worker, arguments: tuple[Any, ...]) -> None:
    global _loaded  # one worker per process is the point of a pool
    _loaded = cache(lambda: load(worker)(*arguments))


def _call(task: Any) -> Any:
    return _loaded()(task)


def _obituary(worker: Worker, members: Sequence[BaseProcess]) -> str:
    """Which process of a pool died, and of what; the pool itself ends the others with SIGTERM."""
    name = worker if isinstance(worker, str) else worker.__name__
    codes = {process.pid: process.exitcode for process in members if process.exitcode}
    own = {pid: code for pid, code in codes.items() if code != -SIGTERM} or codes
    pid, code = next(iter(own.items()), (None, 0))
    how = f"signal {-code} ({strsignal(-code)})" if code < 0 else f"exit code {code}"
    why = "; the system does so when memory runs out, so give fewer --executor.workers" if code == -SIGKILL else ""
    return f"worker process {pid} of {name} ended with {how}{why}; what is committed is kept, the same command resumes"
