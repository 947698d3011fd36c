"""Recommendations to people whose interests are planted, versus popularity: quality, coverage, cost.

python -m tests.benchmarks.applications.recommend [--videos 20000] [--persons 2000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow.parquet as pq

import videobert
from tests.applications.planted_views import ndcg, plant_views
from tests.query.rows import write_embeddings
from videobert.runtime.storage import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=20_000)
    parser.add_argument("--persons", type=int, default=2_000)
    options = parser.parse_args()
    ids = [f"a-v{number:04d}" for number in range(options.videos)]
    planted = plant_views(ids, persons=options.persons)
    seen: dict[str, set[str]] = defaultdict(set)
    for row in planted.views.to_pylist():
        seen[row["person"]].add(row["video_id"])
    with tempfile.TemporaryDirectory() as folder:
        write_embeddings(Store(folder), "a", np.repeat(planted.vectors_VR, 2, axis=0), level="video")
        pq.write_table(planted.views, f"{folder}/views.parquet")
        root = videobert.open(folder)
        popular = [
            r.video_id for r in root.recommend(history=f"{folder}/views.parquet", person="-", popular=True, top=100)
        ]
        ways: dict[str, dict[str, Any]] = {
            "as it is": {},
            "diversity 0": {"diversity": 0.0},
            "no decay": {"half_life_days": 1e9},
        }
        for name, more in ways.items():
            started = time.process_time()
            found = defaultdict(list)
            for row in root.recommend(history=f"{folder}/views.parquet", **more):
                found[row.person].append(row.video_id)
            seconds = time.process_time() - started
            ours = np.mean([ndcg(found[person], liked) for person, liked in planted.liked.items()])
            theirs = np.mean(
                [ndcg([v for v in popular if v not in seen[p]], liked) for p, liked in planted.liked.items()]
            )
            covered = len({video for listed in found.values() for video in listed}) / options.videos
            print(
                f"{name:<12} nDCG@10 {ours:.3f}, popularity {theirs:.3f}, {ours / theirs:.0f} times; "
                f"coverage {covered:.1%}; {1e3 * seconds / options.persons:.1f} CPU ms per person",
                flush=True,
            )


if __name__ == "__main__":
    main()
