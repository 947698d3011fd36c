"""Does it learn from footage that nobody drew for it? Anyone's videos, with labels, versus plain linear algebra.

    python -m tests.benchmarks.learning.footage VIDEOS LABELS [--root ROOT] [--seeds 0 1 2] [--recipe own] [--set k=v]

VIDEOS holds videos with captions next to them (.vtt, .srt), in folders that become batches; LABELS is JSON lines of
video_id (sha256 of the file), start_seconds, end_seconds, verb, noun, text. An event is taken to lie `--before-end`
seconds before its label's end. Stages that are committed below ROOT are not run again.

Moments: for every sentence of the labels, windows of 1.5 s of the held-out videos ranked by the best row that covers
their middle, as mean average precision and precision among ten. Beside it what CCA and a small MLP get out of the same
features and tokens of the same clips (`yardsticks.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.learning.yardsticks import Corpus, closed_set, correlation, moments, probe, read_corpus
from videobert.codebook.load import load_tokenizer
from videobert.model.load import load_committed_model
from videobert.model.network import VideoBert
from videobert.model.scoring import encode_text, encode_video, pooled
from videobert.runtime.manifest import load_manifest, specs_of
from videobert.runtime.storage import Store
from videobert.tokens.core import from_json
from videobert.tokens.read import read_shard

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--recipe", default="own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--held-out", type=float, default=0.25)
    parser.add_argument("--before-end", type=float, default=0.75)
    parser.add_argument("--set", nargs="*", default=[], metavar="stage.field=value", help="for an ablation")
    options = parser.parse_args()
    found: defaultdict[str, list[float]] = defaultdict(list)
    for seed in options.seeds:
        evaluated = run_pipeline(options, seed)
        model_spec = evaluated["model"]
        corpus, model, tokenizer = opened(options, model_spec)
        if seed == options.seeds[0]:
            for name, figures in yardsticks(corpus).items():
                print(f"{name:<44} " + line(figures), flush=True)
        for name, value in {**ours(corpus, model, tokenizer), **heldout_figures(evaluated)}.items():
            found[name].append(value)
    for name, values in found.items():
        print(f"ours, {name:<38} {statistics.mean(values):.3f}  ({', '.join(f'{v:.3f}' for v in values)})")


def run_pipeline(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """All stages with one seed of training; returns what the evaluation measured."""
    batches = ",".join(sorted(path.name for path in options.videos.iterdir() if path.is_dir()))
    command = [
        sys.executable, "-m", "videobert", "run", "--root", str(options.root), "--batch", batches,
        "--recipe", options.recipe, "--ingest.source", f"{options.videos}/{{batch}}",
        "--codebook.heldout-fraction", str(options.held_out), "--evaluate.labels", str(options.labels),
        "--pretrain.seed", str(seed), *(f"--{pair}" for pair in options.set),
    ]  # fmt: skip
    before = set(specs_of(Store(str(options.root)), "evaluate")) if options.root.exists() else set()
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "2"})
    if done.returncode not in (0, 1):  # 1: a gate did not hold
        raise SystemExit(done.returncode)
    store = Store(str(options.root))
    specs = specs_of(store, "evaluate")
    for spec in sorted(set(specs) - before) or specs:
        manifest = load_manifest(store, "evaluate", spec, "")
        assert manifest is not None
        path = next(o.path for o in manifest.outputs if o.path.endswith("metrics.json"))
        metrics: dict[str, Any] = json.loads(store.read(path))
        model = load_manifest(store, "pretrain", metrics["model"], "")
        if model is not None and model.config["seed"] == seed:
            return metrics
    raise SystemExit(f"no evaluation of seed {seed} below {options.root}")


def opened(options: argparse.Namespace, model_spec: str) -> tuple[Corpus, VideoBert, Any]:
    """Features, tokens and labels of all videos, and the model."""
    store = Store(str(options.root))
    manifest = load_manifest(store, "pretrain", model_spec, "")
    assert manifest is not None
    tokens_spec = next(source.spec for source in manifest.sources if source.stage == "tokens")
    samples: list[dict[str, Any]] = []
    for batch in manifest.facts["batches"]:
        tokens = load_manifest(store, "tokens", tokens_spec, batch)
        for output in tokens.outputs if tokens else ():
            samples += read_shard(store, output.path)
    corpus = read_corpus(
        options.root, samples, options.labels, fraction=options.held_out, before_end=options.before_end,
        feature_spec=manifest.facts["feature_spec"],
    )  # fmt: skip
    return corpus, load_committed_model(store, manifest), load_tokenizer(store, manifest)


def yardsticks(corpus: Corpus) -> dict[str, Figures]:
    """What the same input gives to plain methods."""
    width = corpus.tokens
    one_hot = {v: np.eye(width, dtype=np.float32)[from_json(s).visual] for v, s in corpus.samples.items()}
    return {
        "base rate": moments(corpus, np.zeros((len(corpus.windows), len(corpus.queries)))),
        "CCA on the clip's token": moments(corpus, correlation(corpus, one_hot)),
        "CCA on the clip's feature": moments(corpus, correlation(corpus, corpus.features)),
        "MLP on three clips' tokens": moments(corpus, closed_set(corpus, one_hot)),
        "MLP on three clips' features": moments(corpus, closed_set(corpus, corpus.features)),
        "logistic regression on three tokens": probe(corpus, one_hot, around=1, strength=1.0),
        "logistic regression on the feature": probe(corpus, corpus.features, around=0, strength=0.01),
    }


def ours(corpus: Corpus, model: VideoBert, tokenizer: Any) -> Figures:
    """The model's own figures."""
    around = model.reading.context_clips
    videos = {v: from_json(sample) for v, sample in corpus.samples.items()}
    texts_QR = encode_text(model, [tokenizer.encode(q, add_special_tokens=False).ids for q in corpus.queries])
    place = {window: row for row, window in enumerate(corpus.windows)}
    scores_WQ = np.full((len(place), len(corpus.queries)), -9.0)
    vectors: defaultdict[bytes, set[bytes]] = defaultdict(set)
    rows: list[tuple[bytes, NDArray[np.floating]]] = []
    for v in sorted({v for v, _ in corpus.windows}):
        spans = [videos[v].footage(s.first_clip, s.last_clip, around=around) for s in videos[v].segments]
        found_SR = encode_video(model, spans)
        for span, segment, row_R in zip(spans, videos[v].segments, found_SR, strict=True):
            picture = span.leaves.tobytes() + (b"" if span.residuals is None else span.residuals.tobytes())
            vectors[row_R.tobytes()].add(picture)
            rows.append((picture, row_R @ texts_QR.T))
            for clip in range(segment.first_clip, segment.last_clip):
                if (v, clip) in place:
                    at = place[v, clip]
                    scores_WQ[at] = np.maximum(scores_WQ[at], row_R @ texts_QR.T)
    states = {
        v: pooled(model, [x.footage(k, k + 1, around=around) for k in range(len(x.visual))], pool="mean")
        for v, x in videos.items()
    }
    found = {f"moments {name}": value for name, value in moments(corpus, scores_WQ).items()}
    found |= {f"probe {name}": value for name, value in probe(corpus, states, around=0, strength=0.01).items()}
    found["vectors that different pictures share"] = float(sum(len(p) > 1 for p in vectors.values()))
    found["hits of ten that share a score with another picture"] = ties(rows)
    return found


def ties(rows: Sequence[tuple[bytes, NDArray[np.floating]]]) -> float:
    """Of the ten best rows per sentence, how many have exactly the score of another whose picture differs, on average.

    A row is its picture and its scores for all sentences.
    """
    scores_SQ, shared = np.stack([scores for _, scores in rows]), []
    for scores_S in scores_SQ.T:
        best = np.argsort(-scores_S, kind="stable")[:10].tolist()
        alike: defaultdict[float, set[bytes]] = defaultdict(set)
        for row in best:
            alike[float(scores_S[row])].add(rows[row][0])
        shared.append(sum(len(alike[float(scores_S[row])]) > 1 for row in best))
    return float(np.mean(shared))


def heldout_figures(metrics: dict[str, Any]) -> Figures:
    """What the evaluation stage reports."""
    found = {}
    for kind in ("verb", "noun"):
        words = metrics.get("zero_shot", {}).get(kind, {})
        for name in (
            "top1", "top1_prior", "top1_gain_in_standard_errors",
            "top1_majority", "top1_gain_over_majority_in_standard_errors",
        ):  # fmt: skip
            if name in words:
                found[f"zero-shot {kind} {name}"] = float(words[name])
    for name in ("recall_at_10", "median_rank"):
        if name in metrics.get("retrieval", {}):
            found[f"text to video {name}"] = float(metrics["retrieval"][name])
    return found


def line(figures: Figures) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


if __name__ == "__main__":
    main()
