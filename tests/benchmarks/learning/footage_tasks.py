"""Fine-tuned tasks on footage that nobody drew for it: the stage itself on anyone's labels, versus plain networks.

    python -m tests.benchmarks.learning.footage_tasks LABELS --root ROOT --model SPEC [--tasks verb noun who ...]

ROOT holds a pretrained model of the recipe `own`, as `tests.benchmarks.learning.footage` leaves it, and is written to.
LABELS is JSON lines of video_id, start_seconds, end_seconds, verb, noun, text, as there: `who` is the second word of
the text ("the blue chef ..."), a question asks for it ("who picks up an onion?"). The network sees the clips of an
event and not what is said, which would tell. Beside it, on the same splits: a linear model and an MLP on the features
of three neighbouring clips, and a Transformer from scratch on those of the whole span.

N clips, F width of a feature.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from tests.benchmarks.learning.baselines import Clips, MeanMlp, VideoTransformer, fit
from videobert.finetune.config import CaptionOptions, FinetuneConfig
from videobert.flow import run_stage
from videobert.recipes import own
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.held_out import is_held_out
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.storage import Store
from videobert.tasks.metrics import bootstrap
from videobert.tasks.probe import fit_probe
from videobert.tokens.read import read_samples

BEFORE_END = 0.75
"""Seconds from an event to the end of its label."""
HALF = 0.75
"""Seconds of an event's span before and after it."""
Event = dict[str, Any]
TASKS: Mapping[str, tuple[str, Callable[[Event], dict[str, Any]]]] = {
    "verb": ("classification", lambda event: {"label": event["verb"]}),
    "noun": ("classification", lambda event: {"label": event["noun"]}),
    "who": ("classification", lambda event: {"label": event["text"].split()[1]}),
    "captions": ("captions", lambda event: {"text": event["text"]}),
    "questions": ("open-questions", lambda event: {
        "question": "who " + " ".join(event["text"].split()[3:]) + "?", "answer": event["text"].split()[1],
    }),
}  # fmt: skip
CONFIG = FinetuneConfig(
    reads="video", freeze="nothing", encoder_rate=0.3, epochs=12, patience=4, bootstrap_draws=100,
    captions=CaptionOptions(layers=1, longest=16, beams=2),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    events = [json.loads(line) for line in options.labels.read_text().splitlines()]
    store = Store(str(options.root))
    manifest = load_manifest(store, "pretrain", options.model, "")
    assert manifest is not None
    for name in options.tasks:
        kind, label = TASKS[name]
        rows = [span_of(event) | label(event) for event in events]
        rows = split(rows, manifest.facts["heldout_fraction"])
        figures = tuned(store, options.model, kind, rows)
        if kind == "classification":
            figures |= plain(options.root, store, manifest, rows)
        for who, found in figures.items():
            print(f"| {name} | {who} | {' | '.join(f'{k} {v}' for k, v in found.items())} |", flush=True)


def span_of(event: Event) -> dict[str, Any]:
    """The second and a half around an event."""
    middle = event["end_seconds"] - BEFORE_END
    start = max(0.0, middle - HALF)
    return {"video": event["video_id"], "start_seconds": start, "end_seconds": middle + HALF}


def split(rows: Sequence[dict[str, Any]], fraction: float) -> list[dict[str, Any]]:
    """The same splits for every method: tested on what pretraining held out, whose words it has not read either."""
    videos = sorted({row["video"] for row in rows})
    others = [video for video in videos if not is_held_out(video, fraction)]
    chosen = set(others[: round(0.15 * len(videos))])
    places = {v: "validation" if v in chosen else "train" if v in others else "test" for v in videos}
    return [row | {"split": places[row["video"]]} for row in rows]


def tuned(store: Store, model: str, kind: str, rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """What the stage's own report says: the network, and its controls, with intervals over videos."""
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder) / "labels.jsonl"
        labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
        config = replace(CONFIG, task=kind, labels=str(labels))
        if kind == "open-questions":  # the question is the text
            config = replace(config, reads="both")
        recipe = replace(own(), finetune=config)
        (done,) = run_stage(
            recipe, store, "finetune", batches=(), selection=Selection(model=model), executor=LocalExecutor()
        )
    metrics = json.loads(store.read(f"finetuned/{done.spec}/metrics.json"))
    return {
        who: {name: _said(figure["value"], figure.get("interval", (np.nan, np.nan))) for name, figure in found.items()}
        for who, found in metrics["figures"].items()
    }


def plain(root: Path, store: Store, manifest: Manifest, rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Top-1 of models on the encoder's features themselves."""
    clips, labels, splits, groups = seen(root, store, manifest, rows)
    classes = sorted({label for label, place in zip(labels, splits, strict=True) if place == "train"})
    members = {place: [i for i, p in enumerate(splits) if p == place and labels[i] in classes] for place in set(splits)}
    truth = {place: np.array([classes.index(labels[i]) for i in found]) for place, found in members.items()}
    width = clips[0].shape[1]
    means = {place: np.stack([clips[i].mean(axis=0) for i in found]) for place, found in members.items()}
    outputs = {
        "linear model on the features": np.stack(
            fit_probe(means, truth, problem_type="single_label_classification", classes=len(classes))
        )
    }
    networks: dict[str, nn.Module] = {
        "MLP on the features": MeanMlp(width, len(classes), hidden=256),
        "VideoTransformer, scratch": VideoTransformer(width, len(classes), hidden=96, layers=2, heads=4, longest=16),
    }
    for name, network in networks.items():
        given = {place: [clips[i] for i in found] for place, found in members.items()}

        def worth(fitted: nn.Module, given: Mapping[str, Sequence[Clips]] = given) -> float:
            return float((_logits(fitted, given["validation"]).argmax(1) == truth["validation"]).mean())

        fitted = fit(network, (given["train"], truth["train"]), worth, F.cross_entropy, epochs=12, rate=1e-3, seed=0)
        outputs[name] = _logits(fitted, given["test"])
    found = {}
    for name, shares in outputs.items():
        right = shares.argmax(1) == truth["test"]
        where = [groups[i] for i in members["test"]]

        def top1(chosen: Sequence[int], right: NDArray[np.bool_] = right) -> dict[str, float]:
            return {"top1": float(right[chosen].mean())}

        interval = bootstrap(top1, where, draws=100, seed=0)
        found[name] = {"top1": _said(float(right.mean()), interval["top1"])}
    return found


def seen(
    root: Path, store: Store, manifest: Manifest, rows: Sequence[dict[str, Any]]
) -> tuple[list[Clips], list[str], list[str], list[str]]:
    """(standardised features of the clip of each event and its neighbours, labels, splits, videos)."""
    features: dict[str, NDArray[np.float32]] = {}
    for path in sorted(root.glob(f"features/{manifest.facts['feature_spec']}/*/*.parquet")):
        table = pq.read_table(path, columns=["video_id", "feature"], partitioning=None)
        ids = np.array(table["video_id"].to_pylist())
        found_NF = np.array(table["feature"].to_pylist(), dtype=np.float32)
        features |= {str(v): found_NF[ids == v] for v in np.unique(ids)}
    everything = np.concatenate(list(features.values()))
    mean_F, spread_F = everything.mean(axis=0), np.maximum(everything.std(axis=0), 1e-6)
    tokens = [load_manifest(store, "tokens", manifest.source_spec("tokens"), b) for b in manifest.facts["batches"]]
    samples = {s["video_id"]: s for m in tokens if m for s in read_samples(store, m.outputs)}
    clips, kept = [], []
    for row in rows:
        starts = np.array(samples[row["video"]]["clip_starts"])
        middle = int(np.searchsorted(starts, (row["start_seconds"] + row["end_seconds"]) / 2, side="right")) - 1
        around = features[row["video"]][max(0, middle - 1) : middle + 2]
        if len(around):
            clips.append(((around - mean_F) / spread_F).astype(np.float32))
            kept.append(row)
    return clips, [r["label"] for r in kept], [r["split"] for r in kept], [r["video"] for r in kept]


def _logits(network: nn.Module, clips: Sequence[Clips]) -> NDArray[np.float32]:
    with torch.inference_mode():
        found: NDArray[np.float32] = torch.cat([network(clips[i : i + 256]) for i in range(0, len(clips), 256)]).numpy()
    return found


def _said(value: float, interval: Sequence[float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


if __name__ == "__main__":
    main()
