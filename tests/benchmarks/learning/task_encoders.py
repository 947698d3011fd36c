"""Encoders that the tasks are learnt with, by the name of their line in the table."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.benchmarks.learning.baselines import Clips, MeanMlp, VideoTransformer, fit
from tests.benchmarks.learning.task_data import TaskData
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.measure import frozen_features, shuffled
from videobert.finetune.train import finetune
from videobert.model.network import VideoBert
from videobert.tasks.base import Example, TaskNetwork

__all__ = ["ENCODERS", "Outputs", "outputs_of"]

Outputs = dict[str, list[Any]]
WIDTH = 64
"""Of the continuous features: a fixed random vector for each visual token."""
ENCODERS = ("baselines", "probe", "frozen", "fine-tuned", "text", "early", "cross", "scratch")


def outputs_of(
    data: TaskData, pretrained: VideoBert, fresh: VideoBert, config: FinetuneConfig, *, encoders: tuple[str, ...]
) -> Outputs:
    """Outputs on the test examples of the named encoders, with majority and ceiling."""
    seed, found = config.seed, Outputs()
    count = len(data.splits["test"])
    if constant := data.kind.constant(data.targets("train"), data.facts, count):
        found["majority"] = constant
    found["ceiling"] = data.ceiling
    video = data.reading("video")
    if "probe" in encoders and data.kind.probes:
        features = {split: frozen_features(pretrained, examples) for split, examples in video.items()}
        targets = {split: data.targets(split) for split in video}
        found["linear probe"] = data.kind.probe(features, targets, data.facts, config)
    if "baselines" in encoders and data.kind.name != "captions":
        found["mean MLP, scratch"] = _baseline(data, video, seed=seed, transformer=False)
        found["VideoTransformer, scratch"] = _baseline(data, video, seed=seed, transformer=True)
    runs: Mapping[str, tuple[str, VideoBert, str, dict[str, Any]]] = {
        "scratch": ("VideoBERT, not pretrained", fresh, "video", {"freeze": "nothing"}),
        "frozen": ("VideoBERT, frozen", pretrained, "video", {"freeze": "encoder", "head_epochs": 0}),
        "fine-tuned": ("VideoBERT, fine-tuned", pretrained, "video", {"freeze": "nothing"}),
        "text": ("text only, fine-tuned", pretrained, "text", {"freeze": "nothing"}),
        "early": ("text and video, one sequence", pretrained, "both", {"freeze": "nothing"}),
        "cross": ("text and video, gate", pretrained, "both", {"freeze": "nothing", "fusion": "cross"}),
    }
    for key, (name, encoder, reads, options) in runs.items():
        if key not in encoders or (data.kind.asks and key in ("early", "cross")):
            continue
        if key in ("early", "cross") and data.kind.name == "captions":
            continue
        if key == "scratch":
            options = {**options, "head_epochs": 0, "encoder_rate": 1.0}
        network = _tuned(data, data.reading(reads), encoder, replace(config, **options))
        found[name] = network.outputs(data.reading(reads)["test"])
        if key == "fine-tuned":
            found["the same, videos shuffled"] = network.outputs(shuffled(video["test"], seed=seed))
    return found


def _tuned(data: TaskData, splits: dict[str, list[Example]], encoder: VideoBert, config: FinetuneConfig) -> TaskNetwork:
    network = data.kind.network(copy.deepcopy(encoder), data.facts, config)
    chosen, wanted = splits["validation"], data.targets("validation")

    def validate(tuned: TaskNetwork) -> dict[str, float]:
        tuned.eval()
        total = weight = 0.0
        with torch.inference_mode():
            for begin in range(0, len(chosen), 64):
                losses_B, weights_B = tuned.losses(chosen[begin : begin + 64])
                total, weight = total + float((losses_B * weights_B).sum()), weight + float(weights_B.sum())
        loss = total / weight
        figures = {"minus_loss": -loss}
        if not data.kind.by_loss:
            figures = data.kind.figures(tuned.outputs(chosen), wanted, data.facts)
        tuned.train()
        return figures | {"loss": loss}

    finetune(network, splits["train"], validate, config)
    return network


def _baseline(data: TaskData, splits: dict[str, list[Example]], *, seed: int, transformer: bool) -> list[Any]:
    """As wide and as deep as the pretrained encoder. A question is one more vector at the beginning."""
    rng = np.random.default_rng(1)
    seen, asked = (rng.standard_normal((4096, WIDTH)).astype(np.float32) for _ in range(2))
    clips: dict[str, list[Clips]] = {
        split: [np.concatenate([asked[list(e.text_ids)], seen[e.footage.leaves]]) for e in found if e.footage]
        for split, found in splits.items()
    }
    facts, classes = data.facts, len(data.facts["labels"])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network: nn.Module = (
            VideoTransformer(WIDTH, classes, hidden=96, layers=2, heads=4, longest=128)
            if transformer
            else MeanMlp(WIDTH, classes, hidden=256)
        )
    mean, spread = facts["unit"]
    answered, loss = _PROBLEMS[facts["problem_type"]]

    def outputs(split: str) -> list[Any]:
        with torch.inference_mode():
            logits_BC = torch.cat([network(clips[split][i : i + 256]) for i in range(0, len(clips[split]), 256)])
        return list((answered(logits_BC) * spread + mean).numpy())

    wanted = np.stack(data.targets("train"))
    if facts["problem_type"] == "regression":
        wanted = (wanted - mean) / spread
    fit(
        network, (clips["train"], wanted),
        lambda _: next(iter(data.kind.figures(outputs("validation"), data.targets("validation"), facts).values())),
        loss, epochs=_epochs(len(wanted)), rate=1e-3, seed=seed,
    )  # fmt: skip
    return outputs("test")


def _epochs(count: int) -> int:
    """Passes that take some 1,000 steps, and no fewer than 6: more than the pretrained network gets."""
    return int(np.clip(1_000 * 32 // count, 6, 60))


_PROBLEMS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "single_label_classification": (lambda logits: logits.softmax(-1), F.cross_entropy),
    "multi_label_classification": (
        torch.sigmoid, lambda logits, own: F.binary_cross_entropy_with_logits(logits, own.float()),
    ),
    "regression": (lambda logits: logits, lambda logits, wanted: F.mse_loss(logits[:, 0], wanted.float())),
}  # fmt: skip
