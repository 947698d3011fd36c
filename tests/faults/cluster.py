"""A Ray cluster of one node that lives until this process ends; its address goes into the file that is named.

python -m tests.faults.cluster ADDRESS_FILE
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from ray.cluster_utils import Cluster


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 100 << 20})
    ready = Path(sys.argv[1])
    ready.with_suffix(".new").write_text(cluster.address)
    ready.with_suffix(".new").rename(ready)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
