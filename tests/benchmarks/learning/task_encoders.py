"""Encoders that the tasks are learnt with, by the name of their line in the table."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.benchmarks.learning.baselines import Clips, MeanMlp, SegmentTransformer, VideoTransformer, fit
from tests.benchmarks.learning.task_data import TaskData
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.measure import shuffled
from videobert.finetune.train import finetune
from videobert.model.network import VideoBert
from videobert.tasks.base import Example, TaskNetwork
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.sequences import frozen_features
from videobert.tokens.footage import Footage

__all__ = ["ENCODERS", "Models", "outputs_of"]


@dataclass(frozen=True, kw_only=True)
class Models:
    """What the lines of one seed start from."""

    fresh: VideoBert
    pretrained: VideoBert
    continuous: VideoBert | None
    """Pretrained with the residuals of its clips; None: not asked for."""


WIDTH = 64
"""Of the continuous features: a fixed random vector for each visual token."""
ENCODERS = (
    "baselines",
    "probe",
    "frozen",
    "fine-tuned",
    "segments",
    "words",
    "text",
    "early",
    "cross",
    "scratch",
    "continuous",
)


def outputs_of(
    data: TaskData, models: Models, config: FinetuneConfig, *, encoders: Sequence[str]
) -> Iterator[tuple[str, list[Any]]]:
    """Name and outputs on the test examples of majority, ceiling and the chosen encoders, one after the other."""
    pretrained = models.pretrained
    if constant := data.kind.constant(data.targets("train"), data.facts, len(data.splits["test"])):
        yield "majority", constant
    yield from data.ceilings.items()
    video = data.reading("video")
    if "probe" in encoders and data.kind.probes:
        targets = {split: data.targets(split) for split in video}
        prompt = data.facts["prompt"]
        for name, key, by_segment, asked in (
            ("", "probe", False, ()), (" by segment", "segments", True, ()),
            (" by segment on words", "words", True, prompt),
        ):  # fmt: skip
            if key not in encoders:
                continue
            read = data.reading("video", by_segment=by_segment)
            features = {split: frozen_features(pretrained, own, prompt=asked) for split, own in read.items()}
            yield data.kind.probe_name + name, data.kind.probe(features, targets, data.facts, config)
    if "baselines" in encoders and data.kind.name != "captions":
        yield "mean MLP, scratch", _baseline(data, video, config, _mlp)
        yield "VideoTransformer, scratch", _baseline(data, video, config, _transformer)
        if "segments" in encoders:
            own = data.reading("video", by_segment=True)
            yield "VideoTransformer by segment, scratch", _baseline(data, own, config, _by_segment)
    if "continuous" in encoders and data.kind.name != "captions":
        outputs = _baseline(data, video, config, _transformer, residuals=True)
        yield "VideoTransformer with residuals, scratch", outputs
    for key, (name, encoder, reads, options) in _runs(models).items():
        if key not in encoders or key in _WITHOUT.get(data.kind.name, ()):
            continue
        assert encoder is not None
        splits = data.reading(reads, by_segment=options.get("spans") == "segments")
        network = _tuned(data, splits, encoder, replace(config, **options))
        yield name, network.outputs(splits["test"])
        if key == "fine-tuned":
            yield (
                "the same, videos shuffled",
                network.outputs(shuffled(video["test"], seed=config.seed, asked=data.kind.asks)),
            )


_WITHOUT = {"captions": ("frozen", "segments", "words", "early", "cross"), "open-questions": ("early", "cross")}
"""Lines that a kind of task does without: it takes long, it reads text anyhow, or no segments."""


def _runs(models: Models) -> Mapping[str, tuple[str, VideoBert | None, str, dict[str, Any]]]:
    """Key -> name, encoder, what it reads, options."""
    whole, pretrained = {"freeze": "nothing"}, models.pretrained
    on_words = {**whole, "spans": "segments", "pool": "words"}
    return {
        "scratch": ("VideoBERT, not pretrained", models.fresh, "video", {**whole, "encoder_rate": 1.0}),
        "frozen": ("VideoBERT, frozen", pretrained, "video", {"freeze": "encoder"}),
        "fine-tuned": ("VideoBERT, fine-tuned", pretrained, "video", whole),
        "segments": ("VideoBERT by segment, fine-tuned", pretrained, "video", {**whole, "spans": "segments"}),
        "words": ("VideoBERT by segment on words, fine-tuned", pretrained, "video", on_words),
        "text": ("text only, fine-tuned", pretrained, "text", whole),
        "early": ("text and video, one sequence", pretrained, "both", whole),
        "cross": ("text and video, gate", pretrained, "both", {**whole, "fusion": "cross"}),
        "continuous": ("VideoBERT with residuals, fine-tuned", models.continuous, "video", whole),
    }


def _tuned(data: TaskData, splits: dict[str, list[Example]], encoder: VideoBert, config: FinetuneConfig) -> TaskNetwork:
    network = data.kind.network(copy.deepcopy(encoder), data.facts, config)
    if config.freeze == "encoder" and isinstance(network, VideoBertForVideoClassification):
        _read_once(network, splits)
    chosen, wanted = splits["validation"], data.targets("validation")

    def validate(tuned: TaskNetwork) -> dict[str, float]:
        tuned.eval()
        outputs: list[Any] = []
        total = weight = 0.0
        with torch.inference_mode():
            for begin in range(0, len(chosen), 128):
                batch = chosen[begin : begin + 128]
                if isinstance(tuned, VideoBertForVideoClassification):
                    logits_BC = tuned(batch)
                    losses_B, weights_B = tuned.losses_of(logits_BC, np.stack([e.target for e in batch]))
                    outputs += tuned.answered(logits_BC)
                else:
                    losses_B, weights_B = tuned.losses(batch)
                total, weight = total + float((losses_B * weights_B).sum()), weight + float(weights_B.sum())
        tuned.train()
        loss = total / weight
        return (data.kind.figures(outputs, wanted, data.facts) if outputs else {"minus_loss": -loss}) | {"loss": loss}

    finetune(network, splits["train"], validate, config)
    return network


def _read_once(network: VideoBertForVideoClassification, splits: dict[str, list[Example]]) -> None:
    """Let a frozen encoder without dropout read each example once, not in every epoch: its states are the same."""
    examples = [e for found in splits.values() for e in found]
    rows_BD = torch.from_numpy(frozen_features(network.encoder, examples))
    places = {id(example): place for place, example in enumerate(examples)}
    network.pooled = lambda examples: rows_BD[[places[id(e)] for e in examples]]  # type: ignore[method-assign]


def _baseline(
    data: TaskData,
    splits: dict[str, list[Example]],
    config: FinetuneConfig,
    create: Callable[[int], nn.Module],
    *,
    residuals: bool = False,
) -> list[Any]:
    """As wide and as deep as the pretrained encoder. A question is one more vector at the beginning.

    Five passes for every three of the pretrained network's, as it has more to learn.
    """
    seed = config.seed
    rng = np.random.default_rng(1)
    seen, asked = (rng.standard_normal((4096, WIDTH)).astype(np.float32) for _ in range(2))

    def features(footage: Footage) -> Clips:
        clips_NF: Clips = seen[footage.leaves]
        if residuals:
            assert footage.residuals is not None
            clips_NF[:, : footage.residuals.shape[1]] += footage.residuals
        return clips_NF

    def rows(example: Example) -> Any:
        if example.segments:
            return [rows(segment) for segment in example.segments if segment.footage]
        assert example.footage
        return np.concatenate([asked[list(example.text_ids)], features(example.footage)])

    spans = {split: [rows(e) for e in found] for split, found in splits.items()}
    facts, classes = data.facts, len(data.facts["labels"])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = create(classes)
    mean, spread = facts["unit"]
    answered, loss = _PROBLEMS[facts["problem_type"]]

    def outputs(split: str) -> list[Any]:
        with torch.inference_mode():
            logits_BC = torch.cat([network(spans[split][i : i + 256]) for i in range(0, len(spans[split]), 256)])
        return list((answered(logits_BC) * spread + mean).numpy())

    wanted = np.stack(data.targets("train"))
    if facts["problem_type"] == "regression":
        wanted = (wanted - mean) / spread
    fit(
        network, (spans["train"], wanted),
        lambda _: next(iter(data.kind.figures(outputs("validation"), data.targets("validation"), facts).values())),
        loss, epochs=5 * config.epochs // 3, rate=1e-3, seed=seed,
    )  # fmt: skip
    return outputs("test")


def _mlp(classes: int) -> nn.Module:
    return MeanMlp(WIDTH, classes, hidden=256)


def _transformer(classes: int) -> nn.Module:
    return VideoTransformer(WIDTH, classes, hidden=96, layers=2, heads=4, longest=128)


def _by_segment(classes: int) -> nn.Module:
    return SegmentTransformer(WIDTH, classes, hidden=96, layers=2, heads=4, longest=128)


_PROBLEMS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "single_label_classification": (lambda logits: logits.softmax(-1), F.cross_entropy),
    "multi_label_classification": (
        torch.sigmoid, lambda logits, own: F.binary_cross_entropy_with_logits(logits, own.float()),
    ),
    "regression": (lambda logits: logits, lambda logits, wanted: F.mse_loss(logits[:, 0], wanted.float())),
}  # fmt: skip
