"""Actors and a node that are lost over a shard, on a cluster of two nodes; prints what came of it as JSON.

python -m tests.faults.lost_actors FOLDER
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from videobert.errors import PipelineError
from videobert.runtime.ray_executor import ActorOptions, RayExecutor


class Doubler:
    """Doubles numbers. 3 ends its process once, as the kernel does when memory is short; 13 does so always."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, number: int) -> int:
        started = self._folder / f"started-{number}"
        again = started.exists()
        started.write_text(ray.get_runtime_context().get_node_id())
        if number == 13 or (number == 3 and not again):
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 7 and not again:
            time.sleep(60)  # until the node below it is gone
        return 2 * number


def main() -> None:
    folder = Path(sys.argv[1])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80 << 20})
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=80 << 20) for _ in range(2)]
    found = {"local": _local_run(folder)}
    os.environ["RAY_ADDRESS"] = cluster.address
    executor = RayExecutor(workers=2, options=ActorOptions(num_cpus=1))
    found["actor"] = _run(executor, folder, (1, 2, 3, 4))
    found["poison"] = _run(executor, folder, (5, 13))
    found["group"] = _ask(executor, folder)
    removal = threading.Thread(target=_remove_node_of, args=(cluster, nodes, folder / "started-7"), daemon=True)
    removal.start()
    found["node"] = _run(executor, folder, (6, 7, 8))
    print(json.dumps(found))
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


def _local_run(folder: Path) -> str:
    """A run that knows of no cluster, while there is one whose address lies where Ray looks for it."""
    code = (
        "import sys; from pathlib import Path; from videobert.runtime.ray_executor import RayExecutor; "
        "from tests.faults.lost_actors import Doubler; "
        "print(list(RayExecutor(workers=1).map(Doubler, (Path(sys.argv[1]),), [20])))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=120)
    return done.stdout.strip() or done.stderr[-2000:]


def _run(executor: RayExecutor, folder: Path, numbers: tuple[int, ...]) -> str:
    try:
        return str(sorted(executor.map(Doubler, (folder,), numbers)))
    except PipelineError as error:
        return f"error: {error}"


def _ask(executor: RayExecutor, folder: Path) -> str:
    try:
        with executor.worker_group(Doubler, [(folder,), (folder,)]) as workers:
            doubled = str(workers("__call__", 21))
            workers("__call__", 13)
    except PipelineError as error:
        return f"{doubled}, error: {error}"
    return "no error"


def _remove_node_of(cluster: Cluster, nodes: list[ray._private.node.Node], started: Path) -> None:
    while not started.exists() or not started.read_text():
        time.sleep(0.1)
    cluster.remove_node(next(node for node in nodes if node.node_id == started.read_text()), allow_graceful=False)


if __name__ == "__main__":
    main()
