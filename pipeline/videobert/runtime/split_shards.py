"""Shards that several workers share: one asks for parts of its shard, and is given the shard again once they stand."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from videobert.runtime.executor import Executor, Worker

__all__ = ["SplitShard", "map_shards"]

_LOG = logging.getLogger("videobert")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitShard:
    """What a worker answers instead of a result: the shard waits for parts, which are tasks like any other.

    A part leaves an object below the folder of the stage, by which the worker knows that it is done. Those of a killed
    run are found again, and the commit sweeps them away.
    """

    task: Any
    parts: tuple[Any, ...]


def map_shards(executor: Executor, worker: Worker, arguments: tuple[Any, ...], tasks: Sequence[Any]) -> Iterator[Any]:
    """Results of all tasks: first of those that one worker does, then of those in parts, whose parts mix."""
    while tasks:
        split = []
        for result in executor.map(worker, arguments, tasks):
            if isinstance(result, SplitShard):
                split.append(result)
            else:
                yield result
        parts = [part for one in split for part in one.parts]
        if parts:
            _LOG.info("%d shards are done in %d parts", len(split), len(parts))
        for _ in executor.map(worker, arguments, parts):
            pass
        tasks = [one.task for one in split]
