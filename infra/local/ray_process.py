"""A Ray head in the foreground, on loopback only, until SIGTERM.

Not `ray start --head --block`: that one also starts the Ray Client server, which nobody here uses, and which takes the
whole head down when it does not find its node within 30 seconds, as on a busy machine.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import ray

__all__ = ["main"]


def main() -> None:
    """Start it, and wait."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dashboard-port", type=int, required=True, help="port of dashboard and Jobs API")
    parser.add_argument("--num-cpus", type=float, required=True, help="CPUs that jobs and actors may ask for")
    parser.add_argument("--object-store-bytes", type=int, required=True, help="size of the object store")
    parser.add_argument("--folder", required=True, help="Ray's own files; a short path, for the sake of its sockets")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ray.init(
        num_cpus=options.num_cpus, num_gpus=0, include_dashboard=True, dashboard_host="127.0.0.1",
        dashboard_port=options.dashboard_port, object_store_memory=options.object_store_bytes,
        _temp_dir=options.folder, _node_ip_address="127.0.0.1", log_to_driver=False, configure_logging=False,
    )  # fmt: skip
    # As `ray start` does: its absence makes the drivers of jobs take any head that they find on this machine.
    Path(options.folder, "ray_current_cluster").write_text(ray.get_runtime_context().gcs_address)
    signal.pause()


if __name__ == "__main__":
    main()
