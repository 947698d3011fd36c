"""The local executor: one load a worker, every result once, the worker's own errors."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from videobert.errors import InputError, PipelineError, VideoError
from videobert.runtime.executor import LocalExecutor


class Doubler:
    """Notes each load and each call in a folder, doubles numbers, refuses 13."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / f"load-{os.getpid()}").touch()

    def __call__(self, task: int) -> int:
        with (self._folder / f"call-{task}").open("x"):  # a second call of one task fails here
            if task == 13:
                raise VideoError("unlucky", "no thirteen")
        return 2 * task


@pytest.mark.parametrize("processes", [1, 2])
def test_every_task_is_done_once_by_workers_loaded_once(tmp_path: Path, processes: int) -> None:
    found = sorted(LocalExecutor(processes).map(Doubler, (tmp_path,), range(6)))
    assert found == [0, 2, 4, 6, 8, 10]
    assert len(list(tmp_path.glob("call-*"))) == 6
    loads = [int(path.name.removeprefix("load-")) for path in tmp_path.glob("load-*")]
    assert 1 <= len(loads) <= processes and (os.getpid() in loads) == (processes == 1)


def test_no_task_loads_nothing(tmp_path: Path) -> None:
    assert list(LocalExecutor(2).map(Doubler, (tmp_path,), [])) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_the_workers_error_is_raised_here(tmp_path: Path, processes: int) -> None:
    with pytest.raises(VideoError, match="no thirteen") as caught:
        list(LocalExecutor(processes).map(Doubler, (tmp_path,), [1, 13]))
    assert caught.value.reason == "unlucky"


def test_results_come_while_others_wait(tmp_path: Path) -> None:
    results = LocalExecutor().map(Doubler, (tmp_path,), [1, 2, 13])
    assert next(results) == 2
    assert not (tmp_path / "call-2").exists()


def test_training_runs_here_as_the_only_rank() -> None:
    ranks: list[tuple[int, int]] = []
    LocalExecutor().train(lambda seen: lambda rank, world: seen.append((rank, world)), {"seen": ranks})
    assert ranks == [(0, 1)]


class Holder:
    """Keeps numbers."""

    def __init__(self, first: int) -> None:
        self.held = [first]

    def add(self, number: int) -> list[int]:
        self.held.append(number)
        return self.held


def test_a_worker_group_keeps_what_it_holds_until_its_end() -> None:
    with LocalExecutor().worker_group(f"{__name__}:Holder", [(1,), (2,)]) as workers:
        workers("add", 3)
        assert workers("add", 4) == [[1, 3, 4], [2, 3, 4]]


class Mortal:
    """Ends its own process at a number: a signal's negative, or an exit code."""

    def __call__(self, task: int) -> int:
        if task < 0:
            os.kill(os.getpid(), -task)
        if task:
            os._exit(task)
        return task


@pytest.mark.parametrize(
    ("task", "words"),
    [(-signal.SIGKILL, r"signal 9 \(Killed\).*--executor.workers"), (-signal.SIGSEGV, "signal 11"), (3, "exit code 3")],
)
def test_a_killed_worker_is_named_with_what_to_do(task: int, words: str) -> None:
    with pytest.raises(PipelineError, match=rf"worker process [0-9]+ of Mortal ended with {words}.*resumes"):
        list(LocalExecutor(2).map(Mortal, (), [0, 0, task, 0]))


class Unwilling:
    """Cannot be loaded."""

    def __init__(self, name: str) -> None:
        raise InputError(f"there is no {name}; take another")

    def __call__(self, task: int) -> int:
        return task


@pytest.mark.parametrize("processes", [1, 2])
def test_a_worker_that_cannot_be_loaded_says_why(processes: int) -> None:
    with pytest.raises(InputError, match="there is no thing; take another"):
        list(LocalExecutor(processes).map(Unwilling, ("thing",), [1, 2]))
