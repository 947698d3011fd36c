"""Shards that several workers share: one asks for parts of its shard, and is given the shard again once they stand."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.runtime.executor import Executor, Worker

__all__ = ["Parted", "map_shards"]

_LOG = logging.getLogger("videobert")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """What a worker answers instead of a result: the shard waits for parts, which are tasks like any other.

    A part leaves an object below the folder of the stage, by which the worker knows that it is done. Those of a killed
    run are found again, and the commit sweeps them away.
    """

    task: Any
    parts: tuple[Any, ...]


def map_shards(executor: Executor, worker: Worker, arguments: tuple[Any, ...], tasks: Sequence[Any]) -> Iterator[Any]:
    """Results of all tasks: first of those that one worker does, then of those in parts, whose parts mix."""
    while tasks:
        parted = []
        for result in executor.map(worker, arguments, tasks):
            if isinstance(result, Parted):
                parted.append(result)
            else:
                yield result
        parts = [part for one in parted for part in one.parts]
        if parts:
            _LOG.info("%d shards are done in %d parts", len(parted), len(parts))
        for _ in executor.map(worker, arguments, parts):
            pass
        tasks = [one.task for one in parted]
