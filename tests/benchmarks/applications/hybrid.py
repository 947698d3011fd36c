"""Search by vector, by words and by both, on a finished root whose videos have labels (`videobert demo-videos`).

    python -m tests.benchmarks.applications.hybrid demo demo/incoming/truth/truth.jsonl

Asks for every action "VERB the NOUN". A segment counts when the step on the screen at its middle is that action,
whatever is said: in the demo every fourth sentence tells of another step, or of nothing.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

import videobert
from tests.applications.planted_views import ndcg
from videobert.query.filters import RowFilter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("truth", type=Path)
    options = parser.parse_args()
    root = videobert.open(options.root)
    steps = defaultdict(list)
    for line in options.truth.read_text().splitlines():
        step = json.loads(line)
        steps[step["video_id"]].append(step)
    columns = ["row_id", "video_id", "start_seconds", "end_seconds"]
    relevant = defaultdict(set)
    for row in root.embeddings().to_table(columns=columns, filter=RowFilter().expression).to_pylist():
        middle = (row["start_seconds"] + row["end_seconds"]) / 2
        for step in steps[row["video_id"]]:
            if step["start_seconds"] <= middle < step["end_seconds"]:
                relevant[step["verb"], step["noun"]].add(row["row_id"])
    asked = {action: rows for action, rows in sorted(relevant.items()) if len(rows) >= 3}
    print(f"{len(asked)} actions of at least 3 segments, {sum(map(len, asked.values()))} segments")
    for by in ("vector", "words", "both"):
        first, tenth, precision = [], [], []
        for (verb, noun), rows in asked.items():
            found = [hit.row_id for hit in root.search(f"{verb} the {noun}", top=50, by=by)]
            first.append(float(found[:1] != [] and found[0] in rows))
            tenth.append(ndcg(found, rows))
            hits = np.array([row in rows for row in found], float)
            ranks = np.cumsum(hits) / np.arange(1, len(hits) + 1)
            precision.append(float((ranks * hits).sum() / min(len(rows), 50)))
        print(
            f"{by:<7} P@1 {np.mean(first):.3f}  nDCG@10 {np.mean(tenth):.3f}  mAP@50 {np.mean(precision):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
