"""A Ray head in the foreground, on loopback only, until SIGTERM.

What `ray start --head --block` does, by the same calls (Ray is pinned to one release), without what nobody here uses:
the Ray Client server, which takes the whole head down when it does not find its node within 30 seconds or another head
has its port; the autoscaler's monitor; and the fixed port of the node's agent, for which two heads would fight.
"""

from __future__ import annotations

import argparse
import signal
import sys

from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._private.utils import write_ray_address

__all__ = ["main"]


def main() -> None:
    """Start it, and wait."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dashboard-port", type=int, required=True, help="port of dashboard and Jobs API")
    parser.add_argument("--agent-port", type=int, required=True, help="port on which the node's agent takes jobs")
    parser.add_argument("--num-cpus", type=int, required=True, help="CPUs that jobs and actors may ask for")
    parser.add_argument("--object-store-bytes", type=int, required=True, help="size of the object store")
    parser.add_argument("--folder", required=True, help="Ray's own files; a short path, for the sake of its sockets")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    settings = RayParams(
        node_ip_address="127.0.0.1", num_cpus=options.num_cpus, num_gpus=0, temp_dir=options.folder,
        object_store_memory=options.object_store_bytes, include_dashboard=True, dashboard_host="127.0.0.1",
        dashboard_port=options.dashboard_port, dashboard_agent_listen_port=options.agent_port, no_monitor=True,
    )  # fmt: skip
    head = Node(settings, head=True, shutdown_at_exit=True, spawn_reaper=True)
    # Without it the drivers of jobs would take any head that they find on this machine.
    write_ray_address(head.address, options.folder)
    signal.pause()


if __name__ == "__main__":
    main()
