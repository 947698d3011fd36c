"""What it costs to plan and commit at size, through the real code: seconds, memory, and requests to an S3 server.

    python -m tests.benchmarks.planning [--videos 1000000] [--shards 100000] [--batches 10000] [--folder DIR]

Every case is measured at half the size and at the size, in a process of its own: twice the seconds for twice the size
is linear, four times is quadratic. Memory is what the process grew by. Roots are written in memory where there is room
(/dev/shm): on a disk, making 100,000 files takes longer than the code over them, and each is synced by itself. Requests
are counted by a proxy before SeaweedFS, at two small sizes.

What helped: sidecars looked up by their owner (each video looked at each sidecar: 52 CPU seconds for 4,000 videos with
captions in one folder, now 36 for a million); standing outputs by number; metadata of videos held as bytes (2.3 GB for
500,000 videos as Python objects); removals and manifests by many at once; a finished batch found before its catalog is
read. What did not: nothing else was tried. `tokens` still plans with the rows of the whole catalog in memory.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa

from tests.benchmarks.planning.cases import CASES
from tests.benchmarks.planning.measure import measured
from tests.benchmarks.planning.requests import print_requests

_ROOM = 4 << 30
"""Bytes; the largest root takes a fifth."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--folder", default=_roomy(), help="where roots are written (%(default)s)")
    parser.add_argument("--only", default="", help="cases whose name begins so; `requests` for these alone")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, pyarrow {pa.__version__}")
    print(f"{'':<40}{'size':>10}{'':<9}{'wall s':>8}{'CPU s':>8}{'MB':>8}{'CPU x':>7}")
    for name, (unit, _, _) in CASES.items():
        if not name.startswith(options.only):
            continue
        size, half = getattr(options, unit), 0.0
        for number in (size // 2, size):
            wall, cpu, megabytes = measured(name, number, options.folder)
            ratio = f"{cpu / half:>7.1f}" if half else ""
            print(f"{name:<40}{number:>10,} {unit:<8}{wall:>8.1f}{cpu:>8.1f}{megabytes:>8.0f}{ratio}", flush=True)
            half = cpu
    if "requests".startswith(options.only):
        print_requests()


def _roomy() -> str:
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > _ROOM else tempfile.gettempdir()


if __name__ == "__main__":
    main()
