"""Does the model learn what its corpus holds, no less and not more? Gates 1 to 6 on the kitchen's tokens.

    python -m tests.benchmarks.learning [--pairs 20000] [--seed 0 1 2] [--gates 1 2 3 4 5 6] [--out rows.jsonl]

One thread; every figure is the mean over the seeds with its spread (RESULTS.md holds the last ones, seed by seed). With
`--out` rows are added to a file as they come and read back at the start, so that seeds can be run one by one.

From pixels: `python -m tests.benchmarks.learning.kitchen --keep FOLDER` renders and is gate 1, `--root FOLDER` here
gives gates 2 to 6 of what it kept, `python -m tests.benchmarks.learning.pixels --root FOLDER/SEED` gate 7.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import torch

from tests.benchmarks.learning.gates import GATES, Row
from tests.benchmarks.learning.pixel_gates import PIXEL_GATES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--gates", type=int, nargs="+", choices=list(GATES))
    parser.add_argument("--root", type=Path, help="kept kitchens: the gates from pixels")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[tuple[int, int], list[Row]] = {}
    if options.out and options.out.exists():
        for line in options.out.read_text().splitlines():
            kept = json.loads(line)
            rows[kept["gate"], kept["seed"]] = [Row(**row) for row in kept["rows"]]
    for seed in options.seed:
        for gate in options.gates or (PIXEL_GATES if options.root else GATES):
            if (gate, seed) in rows:
                continue
            started = time.perf_counter()
            rows[gate, seed] = (
                PIXEL_GATES[gate](options.root / str(seed)) if options.root else GATES[gate](options.pairs, seed)
            )
            print(f"gate {gate}, seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
            if options.out:
                line = json.dumps({"gate": gate, "seed": seed, "rows": [asdict(row) for row in rows[gate, seed]]})
                with options.out.open("a") as sink:
                    sink.write(line + "\n")
    print_table([row for _, found in sorted(rows.items()) for row in found])


def print_table(rows: list[Row]) -> None:
    """One line a figure: mean, spread over the seeds, what is needed, what it compares with."""
    by_figure: defaultdict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in rows:
        by_figure[row.gate, row.figure].append(row)
    print(
        "| gate | figure | mean | spread | seeds | needed | compare with | holds |\n|---|---|---|---|---|---|---|---|"
    )
    for (gate, figure), found in by_figure.items():
        values = [row.found for row in found]
        spread = f"{min(values):.3f} to {max(values):.3f}" if len(values) > 1 else ""
        low, high = max(row.least for row in found), min(row.most for row in found)
        needed = " ".join(f"{sign} {x:.3f}" for sign, x in ((">=", low), ("<=", high)) if abs(x) < 2)
        held = sum(row.holds for row in found)
        print(
            f"| {gate} | {figure} | {statistics.mean(values):.3f} | {spread} | {len(values)} | {needed} | "
            f"{found[0].versus} | {'yes' if held == len(found) else f'{held} of {len(found)}'} |"
        )


if __name__ == "__main__":
    main()
