"""What may vary in fine-tuning. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from videobert.errors import InputError
from videobert.evaluate.config import PROMPT

__all__ = ["AugmentOptions", "CaptionOptions", "FinetuneConfig"]

_CHOICES = {
    "reads": ("both", "video", "text"), "pool": ("mean", "cls", "words"), "fusion": ("early", "cross"),
    "spans": ("whole", "segments"),
    "freeze": ("nothing", "embeddings", "encoder"),
    "schedule": ("linear", "cosine", "constant"), "class_weights": ("none", "balanced"),
    "unknown_videos": ("skip", "refuse"), "precision": ("auto", "fp32", "bf16"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentOptions:
    """How training examples are varied."""

    ADDED_LATER: ClassVar[Mapping[str, object]] = {"drop_text": 0.0}

    drop_clips: float = 0.0
    """Share of the clips of a span that is left out at random."""
    subsample_rates: tuple[int, ...] = (1,)
    """Every n-th clip is kept, n drawn from these: the same at other speeds."""
    mask_words: float = 0.0
    """Share of the words that is masked."""
    drop_text: float = 0.0
    """Share of the examples of clips and words that are shown without the words: so that the clips are read where words
    alone could be learnt by heart."""
    mixup: float = 0.0
    """Parameter of the Beta distribution by which `classification` mixes what its head reads of two examples, and their
    labels (Zhang et al. 2018, arXiv 1710.09412); 0: not."""

    def __post_init__(self) -> None:
        if not all(0.0 <= share < 1.0 for share in (self.drop_clips, self.mask_words, self.drop_text)):
            raise InputError(f"finetune.augment {self}: give shares from 0 to below 1")
        if not self.subsample_rates or min(self.subsample_rates) < 1 or self.mixup < 0:
            raise InputError(f"finetune.augment {self}: give rates from 1 on, and no negative mixup")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionOptions:
    """How sentences are written."""

    layers: int = 2
    """Layers of the decoder."""
    longest: int = 30
    """Most words of a sentence, its end included."""
    beams: int = 4
    """Sentences that are followed at once; 1: greedy."""
    length_penalty: float = 1.0
    """A sentence is worth its log probability over its length to this power: 0 favours short ones."""

    def __post_init__(self) -> None:
        if min(self.layers, self.beams) < 1 or self.longest < 2 or self.length_penalty < 0:
            raise InputError(f"finetune.captions {self} writes nothing; give positive numbers")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneConfig:
    """One fine-tuned model."""

    NOT_IN_SPEC: ClassVar[tuple[str, ...]] = ("checkpoint_every_steps",)
    ADDED_LATER: ClassVar[Mapping[str, object]] = {
        "head_epochs": 0,
        "encoder_rate": 1.0,
        "also": (),
        "search": "",
        "views": (),
        "spans": "whole",
        "segment_layers": 1,
        "prompt": PROMPT,
    }

    task: str = "classification"
    """What is learnt; `videobert finetune --help` lists the tasks."""
    labels: str = ""
    """URL of the labels: .csv, .jsonl or .parquet with the columns of docs/tasks.md; `{root}` is filled in."""
    also: tuple[str, ...] = ()
    """Tasks that are learnt together with it, on the same encoder, each as TASK:WEIGHT:LABELS, such as
    `captions:0.5:{root}/captions.jsonl`. An example of the first task weighs 1, and its figures choose the epoch."""
    views: tuple[str, ...] = ()
    """Specs of tokens of other views of the videos (`features.crop`, `flip`, `colour`), for training."""
    unknown_videos: Literal["skip", "refuse"] = "skip"
    """What becomes of labels of videos that are not there: left out and counted, or an error."""
    validation_fraction: float = 0.15
    """Share of the videos that choose the best epoch, where the labels name no split."""
    test_fraction: float = 0.25
    """Share of the videos that is measured on; the first of them are those that pretraining held out."""
    reads: Literal["both", "video", "text"] = "both"
    """What the network sees of a span: its clips and what is said meanwhile, or one of them."""
    pool: Literal["mean", "cls", "words"] = "mean"
    """What the head of `classification` and `open-questions` reads: the mean of the final states, that of [CLS], or
    which words the model would say at the [MASK]s of `prompt`, which pretraining has learnt to tell apart. What makes
    words of states stays as pretraining left it, but for the embeddings of the words."""
    prompt: str = PROMPT
    """What is asked with `pool = words`, before what is said. It gets the punctuation mark that most sentences of the
    narration end with, unless it ends with one."""
    fusion: Literal["early", "cross"] = "early"
    """How `classification` brings words and clips together: in one sequence, or apart, with words that look at clips
    through a gate that is shut at first."""
    spans: Literal["whole", "segments"] = "whole"
    """How `classification` and `open-questions` read a span: as one sequence, thinned out where it is too long; or
    segment by segment, as pretraining did, with a small Transformer over the segments."""
    segment_layers: int = 1
    """Layers of that Transformer."""
    freeze: Literal["nothing", "embeddings", "encoder"] = "nothing"
    """What stays as pretraining left it: nothing; the embeddings, and how what the tokens dropped is projected, so that
    little is learnt of what no sentence ever told; or the whole encoder but its `top_layers`."""
    top_layers: int = 0
    """Layers, from the top, that `freeze = encoder` leaves free."""
    layer_decay: float = 1.0
    """Factor on the learning rate from each layer to the one below; 1: the same for all."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW. Small encoders on CPU want about 1e-3, BERT's sizes 2e-5 to 5e-5."""
    encoder_rate: float = 1.0
    """Factor on the learning rate of the encoder, which has less to learn than the head."""
    head_epochs: int = 0
    """First epochs in which the head learns alone, so that its random weights do not spoil the encoder (Kumar et al.
    2022, arXiv 2202.10054); then both warm up anew."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls to 0 after the warm-up, or stays."""
    warmup_fraction: float = 0.1
    """Share of the steps in which the rate rises."""
    search: str = ""
    """Trials of the search that this configuration comes from, which `--search` fills in and the report shows."""
    epochs: int = 20
    """Most passes over the training labels."""
    patience: int = 5
    """Epochs without a better validation figure after which training ends; 0: never early. The best epoch is kept."""
    batch_size: int = 32
    """Examples an optimiser step, over all workers and accumulation steps."""
    accumulation: int = 1
    """Parts in which a worker computes its share of a batch, to save memory."""
    weight_decay: float = 0.01
    """Decay of the weight matrices (L2); embeddings, norms and biases are exempt."""
    l1: float = 0.0
    """Weight of the sum of the head's absolute weights in the loss (L1)."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    dropout: float = 0.1
    """Dropout before the last layer of the head."""
    label_smoothing: float = 0.0
    """Share of the truth that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: rare classes count as much as common ones."""
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    """How training examples are varied."""
    teacher: str = ""
    """Spec of a larger model that was fine-tuned on the same classes, whose answers are learnt too; empty: none."""
    teacher_weight: float = 0.5
    """Share of the teacher in the loss; the rest is the labels'."""
    teacher_temperature: float = 2.0
    """What logits are divided by before they are compared (Hinton et al. 2015, arXiv 1503.02531)."""
    captions: CaptionOptions = field(default_factory=CaptionOptions)
    """How the task `captions` writes."""
    bootstrap_draws: int = 500
    """Samples of videos behind each interval of the report."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto is bf16 on CUDA and fp32 elsewhere; weights and optimiser stay fp32."""
    device: str = "auto"
    """Torch device; auto takes CUDA when there is one."""
    threads: int = 1
    """Torch threads of a worker; 0 leaves torch's choice."""
    checkpoint_every_steps: int = 0
    """Steps between checkpoints besides those at the end of each epoch; 0: none besides."""
    log_every_steps: int = 10
    """Steps between records of the learning curve, each the mean over these steps."""
    seed: int = 0
    """Everything random derives from it."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"finetune.{name} is {getattr(self, name)!r}; choose {', '.join(choices)}")
        for name in (
            "dropout",
            "label_smoothing",
            "teacher_weight",
            "warmup_fraction",
            "validation_fraction",
            "test_fraction",
        ):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise InputError(f"finetune.{name} is {getattr(self, name)}; give a share from 0 to below 1")
        if self.validation_fraction + self.test_fraction >= 1.0:
            raise InputError("finetune.validation_fraction and test_fraction leave nothing to learn from; lower them")
        for name in ("epochs", "batch_size", "accumulation", "log_every_steps", "segment_layers"):
            if getattr(self, name) < 1:
                raise InputError(f"finetune.{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("top_layers", "head_epochs", "patience", "weight_decay", "l1", "bootstrap_draws", "threads",
                     "checkpoint_every_steps"):  # fmt: skip
            if getattr(self, name) < 0:
                raise InputError(f"finetune.{name} is {getattr(self, name)}; it must not be negative")
        if self.pool == "words" and "[MASK]" not in self.prompt:
            raise InputError(f"finetune.prompt is {self.prompt!r}; it needs a [MASK] where finetune.pool is words")
        if self.pool == "words" and self.fusion == "cross":
            raise InputError(
                "finetune.pool words asks in one sequence, and finetune.fusion cross reads two; choose one"
            )
        if self.encoder_rate <= 0:
            raise InputError(
                f"finetune.encoder_rate is {self.encoder_rate}; it must be positive, or freeze the encoder"
            )
        if self.head_epochs >= self.epochs:
            raise InputError(f"finetune.head_epochs {self.head_epochs} leaves none of {self.epochs} epochs; lower it")
        if self.learning_rate <= 0 or self.clip_norm <= 0 or not 0.0 < self.layer_decay <= 1.0:
            raise InputError(
                f"finetune.learning_rate {self.learning_rate}, clip_norm {self.clip_norm}, layer_decay "
                f"{self.layer_decay}: the first two must be positive, the last above 0 and at most 1"
            )
        if self.teacher_temperature <= 0:
            raise InputError(f"finetune.teacher_temperature is {self.teacher_temperature}; it must be positive")
        if self.search and not re.fullmatch(r"searches/[a-z0-9-]+\.json", self.search):
            raise InputError(f"finetune.search is {self.search!r}; leave it to `videobert finetune --search trials=20`")
        if self.accumulation > self.batch_size:
            raise InputError(f"finetune.accumulation {self.accumulation} exceeds the batch; lower it")
