"""VideoBERT with a classification head, used as `transformers` uses its own.

    model = VideoBertForVideoClassification.from_pretrained("finetuned/finetune-1a2b3c4d")
    model.config.id2label, model.problem_type
    model.outputs([Example(video_id="", footage=Footage.plain(leaves))])   # probabilities [C]

An example of a network that reads spans by segment (`over`) has `segments`; `videobert.finetune.sight` makes them.
The head is that of BertForSequenceClassification: dense, tanh, dropout, linear. B examples, D hidden width, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from videobert.model.network import VideoBert, at_least_float32
from videobert.tasks.base import Example, TaskNetwork
from videobert.tasks.distillation import Teacher
from videobert.tasks.files import load_head, save_network
from videobert.tasks.fusion import CrossFusion
from videobert.tasks.over_segments import OverSegments, kept
from videobert.tasks.sequences import encode, means, padded_states, words_at_masks

__all__ = ["GROUP", "MOST_SEQUENCES", "ProblemType", "VideoBertForVideoClassification"]

GROUP = 64
"""Examples a forward pass outside of training."""

MOST_SEQUENCES = 256
"""Segments a forward pass of the encoder where no gradients are kept: a long video has hundreds."""

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
"""As in the configuration of `transformers`."""


class VideoBertForVideoClassification(TaskNetwork):
    """Classes, several classes, or a value of a span of video and what is said meanwhile."""

    task: ClassVar[str] = "classification"

    def __init__(
        self,
        encoder: VideoBert,
        *,
        id2label: Mapping[int, str],
        problem_type: ProblemType,
        pool: Literal["mean", "cls", "words"] = "mean",
        prompt: Sequence[int] = (),
        fusion: Literal["early", "cross"] = "early",
        segment_layers: int = 0,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] = (),
        unit: tuple[float, float] = (0.0, 1.0),
        seed: int = 0,
    ) -> None:
        """With `segment_layers` a span is read segment by segment (`Example.segments`). With `pool` words it reads
        what the model would say at the masks of `prompt`.

        `unit` is the mean and spread of a regression's values, whose head works on standardised ones.
        """
        super().__init__()
        self.encoder, self.problem_type, self.pool, self.unit = encoder, problem_type, pool, unit
        self.label_smoothing, self.prompt = label_smoothing, tuple(prompt)
        self.mixup = 0.0
        self.teacher: Teacher | None = None
        config = encoder.config
        config.id2label, config.label2id = dict(id2label), {name: i for i, name in id2label.items()}
        config.problem_type = problem_type
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.dense = nn.Linear(config.hidden_size, config.hidden_size)
            self.dropout = nn.Dropout(dropout)
            self.classifier = nn.Linear(config.hidden_size, len(id2label))
            heads = config.num_attention_heads
            self.fusion = CrossFusion(config.hidden_size, heads, dropout=dropout) if fusion == "cross" else None
            self.over = (
                OverSegments(config.hidden_size, heads, layers=segment_layers, dropout=dropout)
                if segment_layers
                else None
            )
        weights_C = torch.tensor(class_weights or [1.0] * len(id2label), dtype=torch.float32)
        self.register_buffer("class_weights_C", weights_C, persistent=False)
        self.class_weights_C: Tensor

    @property
    def config(self) -> Any:
        """The encoder's, with `id2label`, `label2id` and `problem_type`."""
        return self.encoder.config

    @property
    def is_plain(self) -> bool:
        """Whether the head reads the final states of one sequence."""
        return self.fusion is None and self.over is None and self.pool != "words"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return tuple(self.config.id2label.values())

    @classmethod
    def restored(cls, encoder: VideoBert, folder: Path, settings: Mapping[str, Any]) -> Self:
        """The network of an opened folder."""
        names = {int(number): str(name) for number, name in (encoder.config.id2label or {}).items()}
        network = cls(
            encoder, id2label=names, problem_type=settings["problem_type"], pool=settings["pool"],
            dropout=settings["dropout"], fusion=settings.get("fusion", "early"),
            segment_layers=settings.get("segment_layers", 0), unit=tuple(settings["unit"]),
            prompt=settings.get("prompt", ()),
        )  # fmt: skip
        load_head(network, folder)
        network.eval()
        return network

    def save_pretrained(self, directory: str | Path, **settings: Any) -> None:
        """Write encoder, head and `settings` of the task; AutoModel loads the encoder from the same folder."""
        own = {
            "task": self.task, "problem_type": self.problem_type, "pool": self.pool, "dropout": self.dropout.p,
            "unit": list(self.unit), "fusion": "early" if self.fusion is None else "cross",
            "segment_layers": 0 if self.over is None else self.over.depth,
        }  # fmt: skip
        if self.pool == "words":
            own["prompt"] = list(self.prompt)
        save_network(self, Path(directory), own | settings)

    def pooled(self, examples: Sequence[Example]) -> Tensor:
        """What the head reads, [B, D]."""
        if self.over is None:
            return self._pooled(examples)
        own = [kept(example.segments or (example,)) for example in examples]
        segments = [segment for parts in own for segment in parts]
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.encoder.parameters())
        at_once = len(segments) if learns else MOST_SEQUENCES
        rows = [self._pooled(segments[i : i + at_once]) for i in range(0, len(segments), at_once)]
        pooled_BD: Tensor = self.over(torch.cat(rows), [len(parts) for parts in own])
        return pooled_BD

    def _pooled(self, examples: Sequence[Example]) -> Tensor:
        """Each example as one sequence, [B, D]."""
        if self.pool == "words":
            return words_at_masks(self.encoder, examples, self.prompt)
        if self.fusion is None:
            if self.pool == "mean":
                return means(self.encoder, examples)
            hidden_TD, tokens, place_B = encode(self.encoder, examples)
            return hidden_TD[tokens.packing.first_B[place_B]]
        text_BSD, said_BS = padded_states(self.encoder, [replace(e, footage=None) for e in examples])
        video_BLD, real_BL = padded_states(self.encoder, [replace(e, text_ids=()) for e in examples])
        has_video_B = torch.tensor([e.footage is not None for e in examples], device=text_BSD.device)
        fused_BSD: Tensor = self.fusion(text_BSD, video_BLD, real_BL, has_video_B)
        if self.pool == "cls":
            return fused_BSD[:, 0]
        return (fused_BSD * said_BS[..., None]).sum(dim=1) / said_BS.sum(dim=1, keepdim=True)

    def head(self, pooled_BD: Tensor) -> Tensor:
        """Logits, [B, C]."""
        logits_BC: Tensor = self.classifier(self.dropout(torch.tanh(self.dense(pooled_BD))))
        return logits_BC

    def forward(self, examples: Sequence[Example]) -> Tensor:
        """Logits, [B, C] float32; [B, 1] standardised values of a regression."""
        return at_least_float32(self.head(self.pooled(examples)))

    def losses(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        targets = np.stack([example.target for example in examples])
        if self.mixup and self.training:
            return self._mixed_losses(examples, targets)
        logits_BC = self(examples)
        losses_B, weights_B = self.losses_of(logits_BC, targets)
        if self.teacher is None:
            return losses_B, weights_B
        with torch.no_grad():
            taught_BC = self.teacher.network.eval()(examples)
        return torch.lerp(losses_B, self.teacher.losses(logits_BC, taught_BC), self.teacher.weight), weights_B

    def _mixed_losses(self, examples: Sequence[Example], targets: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Each example mixed with another one of the batch where the head reads it, and its loss with the other's."""
        pooled_BD = self.pooled(examples)
        share = float(torch.distributions.Beta(self.mixup, self.mixup).sample())
        other_B = torch.randperm(len(examples))
        mixed_BD = torch.lerp(pooled_BD[other_B.to(pooled_BD.device)], pooled_BD, share)
        logits_BC = at_least_float32(self.head(mixed_BD))
        own_B, own_weights_B = self.losses_of(logits_BC, targets)
        others_B, other_weights_B = self.losses_of(logits_BC, targets[other_B.numpy()])
        weights_B = torch.lerp(other_weights_B, own_weights_B, share)
        return torch.lerp(others_B * other_weights_B, own_B * own_weights_B, share) / weights_B, weights_B

    def losses_of(self, logits_BC: Tensor, targets: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """(loss, weight) of each example from its logits and targets [B], or [B, C] for several labels."""
        wanted = torch.from_numpy(targets).to(logits_BC.device)
        if self.problem_type == "regression":
            mean, spread = self.unit
            losses_B = F.mse_loss(logits_BC[:, 0], ((wanted - mean) / spread).float(), reduction="none")
            return losses_B, torch.ones_like(losses_B)
        if self.problem_type == "multi_label_classification":
            soft_BC = wanted.float() * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
            losses_BC = F.binary_cross_entropy_with_logits(
                logits_BC, soft_BC, pos_weight=self.class_weights_C, reduction="none"
            )
            return losses_BC.mean(dim=1), torch.ones(len(losses_BC), device=logits_BC.device)
        losses_B = F.cross_entropy(logits_BC, wanted, reduction="none", label_smoothing=self.label_smoothing)
        return losses_B, self.class_weights_C[wanted]

    def outputs(self, examples: Sequence[Example]) -> list[NDArray[np.float32]]:
        """Probabilities [C] of each example, or its value [1]."""
        training = self.training
        self.eval()
        found: list[NDArray[np.float32]] = []
        try:
            with torch.inference_mode():
                for begin in range(0, len(examples), GROUP):
                    found += self.answered(self(examples[begin : begin + GROUP]))
        finally:
            self.train(training)
        return found

    def answered(self, logits_BC: Tensor) -> list[NDArray[np.float32]]:
        """Logits as `outputs` gives them."""
        if self.problem_type == "regression":
            mean, spread = self.unit
            values_BC = logits_BC * spread + mean
        elif self.problem_type == "multi_label_classification":
            values_BC = logits_BC.sigmoid()
        else:
            values_BC = logits_BC.softmax(dim=-1)
        return list(values_BC.detach().cpu().numpy())
