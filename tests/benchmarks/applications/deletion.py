"""Does a score fall more without the clips that explain it? A finished root, its own captions as queries.

    python -m tests.benchmarks.applications.deletion demo [--segments 60]

Of every segment with words and at least three clips a fifth, one or more, is masked: those that add most by integrated
gradients, those with most attention, or any (mean of ten draws).
"""

from __future__ import annotations

import argparse
from itertools import islice

import numpy as np

from videobert.applications.explain.hit import explain_hit, score_without
from videobert.query.model import open_model
from videobert.runtime.storage import Store
from videobert.tokens.core import from_json

_LEAST = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--segments", type=int, default=60)
    options = parser.parse_args()
    opened, rng = open_model(Store(options.root)), np.random.default_rng(0)
    around = opened.model.reading.context_clips
    videos = (from_json(sample) for sample in opened.samples())
    segments = ((v, s) for v in videos for s in v.segments if s.text_ids and s.last_clip - s.first_clip >= _LEAST)
    lost: dict[str, list[float]] = {"gradients": [], "attention": [], "random": []}
    gaps = []
    for video, segment in islice(segments, options.segments):
        footage = video.footage(segment.first_clip, segment.last_clip, around=around)
        found = explain_hit(opened.model, segment.text_ids, footage)
        gaps.append(abs(found.score - found.baseline - found.words.sum() - found.clips.sum()))
        count = max(1, len(found.clips) // 5)

        draws = [rng.choice(len(found.clips), count, replace=False) for _ in range(10)]
        some = {
            "gradients": [np.argsort(-found.clips)[:count]], "attention": [np.argsort(-found.attention)[:count]],
            "random": draws,
        }  # fmt: skip
        for name, choices in some.items():
            left = [score_without(opened.model, segment.text_ids, footage, clips.tolist()) for clips in choices]
            lost[name].append(found.score - float(np.mean(left)))
    print(f"{len(gaps)} segments; parts versus difference: at most {max(gaps):.1e}")
    for name, values in lost.items():
        print(f"{name:<10} loses {np.mean(values):.4f}, {np.mean(values) / np.mean(lost['random']):.2f} times random")


if __name__ == "__main__":
    main()
