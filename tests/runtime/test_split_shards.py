"""Shards in parts: their results come once, and what a killed run left of the parts is not done again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from videobert.runtime.executor import LocalExecutor
from videobert.runtime.split_shards import SplitShard, map_shards


@dataclass(frozen=True)
class Shard:
    name: str
    parts: int


@dataclass(frozen=True)
class Part:
    path: Path


class Worker:
    """Writes a file for every part; the result of a shard is what stands of it."""

    def __init__(self, folder: Path, poison: str) -> None:
        self._folder, self._poison = folder, poison

    def __call__(self, task: Shard | Part) -> tuple[str, int] | SplitShard | None:
        if isinstance(task, Part):
            if task.path.name == self._poison:
                raise RuntimeError("killed")
            with task.path.open("a") as file:
                file.write("done once\n")
            return None
        paths = [self._folder / f"{task.name}-{number}" for number in range(task.parts)]
        missing = tuple(Part(path) for path in paths if not path.exists())
        return SplitShard(task=task, parts=missing) if missing else (task.name, len(paths))


SHARDS = [Shard("a", 3), Shard("b", 0), Shard("c", 2)]


@pytest.mark.parametrize("processes", [1, 2])
def test_every_shard_has_one_result_and_every_part_is_done_once(tmp_path: Path, processes: int) -> None:
    results = list(map_shards(LocalExecutor(processes), Worker, (tmp_path, ""), SHARDS))
    assert results[0] == ("b", 0)  # what needs no parts waits for none
    assert sorted(results) == [("a", 3), ("b", 0), ("c", 2)]
    assert sorted((path.name, path.read_text()) for path in tmp_path.iterdir()) == [
        (name, "done once\n") for name in ("a-0", "a-1", "a-2", "c-0", "c-1")
    ]


def test_a_run_that_was_killed_goes_on_at_the_missing_parts(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        list(map_shards(LocalExecutor(), Worker, (tmp_path, "a-2"), SHARDS))
    assert len(list(tmp_path.iterdir())) == 2
    assert sorted(map_shards(LocalExecutor(), Worker, (tmp_path, ""), SHARDS)) == [("a", 3), ("b", 0), ("c", 2)]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"done once\n"}
