"""Actors that take more memory than their node has to spare, under Ray's memory monitor.

python -m tests.faults.out_of_memory

Prints what came of it. Exit code 1 unless an actor that was ended once cost one try of its own work, and work that
always takes too much ended the run in one sentence.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import psutil
import ray
from ray.cluster_utils import Cluster

from videobert.errors import PipelineError
from videobert.runtime.ray_executor import ActorOptions, RayExecutor

_SPARE_BYTES = 1 << 30
"""The node counts as full when so much more is used than at the start: others use this machine too."""
_STEP_BYTES = 32 << 20


class Eater:
    """Doubles numbers. 3 takes all memory that it can get once, 13 always."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, number: int) -> int:
        with (self._folder / str(number)).open("a") as tries:
            tries.write(".")
        if number == 13 or (number == 3 and (self._folder / "3").stat().st_size == 1):
            _eat()
        return 2 * number


def _eat() -> None:
    """Until the monitor ends this process; never more than four times what it is to notice."""
    held = [b"."]
    while len(held) < 4 * _SPARE_BYTES // _STEP_BYTES:
        held.append(bytes([len(held) % 255 + 1]) * _STEP_BYTES)
    raise PipelineError("the memory monitor has not noticed anything")


def main() -> None:
    memory = psutil.virtual_memory()
    if memory.available < 5 * _SPARE_BYTES:
        sys.exit("too little memory is free on this machine to try what happens when it gets short")
    full = (memory.total - memory.available + _SPARE_BYTES) / memory.total
    monitor = {"memory_usage_threshold": full, "memory_monitor_refresh_ms": 50}
    head = {"num_cpus": 2, "object_store_memory": 80 << 20, "_system_config": monitor}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    os.environ["RAY_ADDRESS"] = cluster.address
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        found = {"once": _run(folder, (1, 2, 3, 4)), "always": _run(folder, (5, 13))}
        tries = {int(path.name): path.stat().st_size for path in folder.iterdir()}
    print(json.dumps(found | {"tries": tries}, indent=1))
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]
    told = "Ray lost 4 actors over one shard" in found["always"] and "the same command resumes" in found["always"]
    once_more = {1: 1, 2: 1, 3: 2, 4: 1, 5: 1, 13: 4}
    sys.exit(not (found["once"] == "[2, 4, 6, 8]" and told and tries == once_more))


def _run(folder: Path, numbers: tuple[int, ...]) -> str:
    try:
        return str(sorted(RayExecutor(workers=1, options=ActorOptions(num_cpus=1)).map(Eater, (folder,), numbers)))
    except PipelineError as error:
        return f"error: {error}"


if __name__ == "__main__":
    main()
