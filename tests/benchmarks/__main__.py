"""Every benchmark, one after the other, into RESULTS.md: `python -m tests.benchmarks [NAME ...] [--out FILE]`.

Each prints its own table, which is kept as printed. Run it on a machine that does nothing else. Tables of benchmarks
that are named are only printed, unless --out says where to keep them; there they take the place of their former ones.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

BENCHMARKS = {
    "features": "",
    "long_video": "--minutes 5 120",
    "codebook": "--rows 200000 --repeats 2",
    "pretrain": "--seconds 150",
    "search": "--rows 200000",
    "embed_write": "",
    "search_index": "--rows 200000",
    "serve": "",
    "planning": "",
    "cluster": "",
    "orchestration": "--batches 4 --complete 20",
    "gpu": "",
}
"""Module in this folder: its arguments, of a size for two cores."""

_LIBRARIES = (
    "apache-airflow", "av", "duckdb", "faiss-cpu", "numba", "onnxruntime", "pyarrow", "ray", "torch", "transformers",
)  # fmt: skip


def main() -> None:
    """Run those named, or all; exit code 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--out", type=Path, help="RESULTS.md next to this file when all are run")
    options = parser.parse_args()
    out = options.out or (None if options.names else Path(__file__).with_name("RESULTS.md"))
    if unknown := sorted(set(options.names) - set(BENCHMARKS)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; choose {', '.join(BENCHMARKS)}")
    head, sections, failed = _machine(), {}, []
    if options.names and out and out.exists():
        head, *kept = re.split(r"^(?=## )", out.read_text(), flags=re.MULTILINE)
        sections = {text.split()[1]: text for text in kept}
    for name in options.names or BENCHMARKS:
        command = f"python -m tests.benchmarks.{name} {BENCHMARKS[name]}".strip()
        print(f"{command} ...", flush=True)
        started = time.monotonic()
        done = subprocess.run([sys.executable, *command.split()[1:]], stdout=subprocess.PIPE, text=True)
        seconds = time.monotonic() - started
        if done.returncode:
            failed.append(name)
        print(done.stdout, flush=True)
        day = f"{datetime.now(UTC):%Y-%m-%d}"
        sections[name] = f"## {name}\n\n`{command}`, {seconds:.0f} s, {day}\n\n```\n{done.stdout.strip()}\n```\n\n"
        if out:
            out.write_text((head + "".join(sections.values())).rstrip() + "\n")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; see their messages above")


def _machine() -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU (what needs one was not run)"
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB, {gpu}, Python {platform.python_version()}"
    return f"# Results\n\nWritten by `make bench`.\n\n{datetime.now(UTC):%Y-%m-%d}, {machine}, {versions}\n\n"


if __name__ == "__main__":
    main()
