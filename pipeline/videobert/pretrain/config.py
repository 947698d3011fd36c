"""What may vary in pretraining. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from videobert.errors import InputError

__all__ = ["Architecture", "LossWeights", "Mixture", "PretrainConfig", "Validation"]

_SMALLEST_BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Shape of the encoder when it starts from scratch; a checkpoint brings its own."""

    layers: int = 4
    """Transformer layers."""
    hidden: int = 256
    """Width of the hidden states."""
    heads: int = 4
    """Attention heads; divides `hidden`."""
    intermediate: int = 1024
    """Width of the feed-forward layers."""
    max_length: int = 512
    """Longest sequence, special tokens included."""
    dropout: float = 0.1
    """Dropout of hidden states, as in BERT."""
    attention_dropout: float = 0.1
    """Dropout of attention weights, as in BERT; 0 takes the fused kernel on CPU, a quarter of a small step."""

    initializer_range: float = 0.02
    """Standard deviation of fresh weights; BERT's 0.02 suits widths near 1,000, small widths want about hidden^-0.5."""

    def __post_init__(self) -> None:
        if self.initializer_range <= 0:
            raise InputError(f"initializer_range {self.initializer_range} is not positive: 0.02 is usual")
        if min(self.layers, self.hidden, self.heads, self.intermediate) < 1:
            raise InputError(f"an encoder needs at least one of everything, got {self}: give positive sizes")
        if self.hidden % self.heads:
            raise InputError(f"hidden {self.hidden} is not a multiple of heads {self.heads}: change one of them")
        if self.max_length < 8:
            raise InputError(f"max_length {self.max_length} leaves no room for text and video: give at least 8")
        if not (0.0 <= self.dropout < 1.0 and 0.0 <= self.attention_dropout < 1.0):
            raise InputError(
                f"dropout {self.dropout}, attention_dropout {self.attention_dropout} are not probabilities below 1: "
                "give values such as 0.1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """How a batch divides into the three regimes of section 3.3 of the paper (relative weights)."""

    text_only: float = 1.0
    """Share of `[CLS] text [SEP]`."""
    video_only: float = 1.0
    """Share of `[CLS] [>] video [SEP]`; segments without text appear only here."""
    video_text: float = 2.0
    """Share of `[CLS] text [>] video [SEP]`."""
    contrast: float = 0.0
    """Share of segments whose text and video meet unmasked, in sequences of their own, to learn retrieval from: is this
    sentence said over this segment? Asked of all in the batch. 0: retrieval is learnt from the masked sequences of the
    first two regimes, which show nothing of a segment of one clip."""

    ADDED_LATER: ClassVar[Mapping[str, object]] = {"contrast": 0.0}

    def __post_init__(self) -> None:
        shares = (self.text_only, self.video_only, self.video_text, self.contrast)
        if min(shares) < 0 or sum(shares) <= 0:
            raise InputError(f"regime shares {shares} do not describe a mixture: none negative, one positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Weights of the total loss; a weight of 0 leaves the part out of training."""

    text_only: float = 1.0
    """Cloze on text alone."""
    video_only: float = 1.0
    """Cloze on video alone."""
    joint_text: float = 1.0
    """Cloze on the words of aligned pairs."""
    joint_video: float = 1.0
    """Cloze on the visual tokens of aligned pairs."""
    alignment: float = 1.0
    """Does the text belong to the video? From the final hidden state of [CLS]."""
    retrieval: float = 0.1
    """InfoNCE between the text-only and video-only vectors of one segment (an extension of the paper)."""

    def __post_init__(self) -> None:
        parts = (self.text_only, self.video_only, self.joint_text, self.joint_video, self.alignment, self.retrieval)
        if min(parts) < 0 or sum(parts) <= 0:
            raise InputError(f"loss weights {parts} leave nothing to learn: none negative, one positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """When training looks at videos that it does not learn from, and when it stops for what it sees."""

    checks: int = 0
    """Checks over all steps, evenly spaced; the model is that of the best one. 0: none, and the model is the last."""
    patience: int = 6
    """Checks without a better one after which training stops."""
    fraction: float = 0.1
    """Share of the training videos that is kept aside for the checks, apart from those that evaluation reports on."""
    least_segments: int = 50
    """Segments below which nothing is kept aside: the loss on so few says more about these than about training."""
    most_segments: int = 1_000
    """No further video is kept aside once those that are have so many segments: a check takes as long as some steps."""
    best_by: Literal["loss", "ranking"] = "loss"
    """What tells the best check: the least loss, or, with `mixture.contrast`, the highest mean average precision of
    the spans found by their sentences. A model that grows too sure of itself loses by the first, not by the other."""

    ADDED_LATER: ClassVar[Mapping[str, object]] = {"best_by": "loss"}

    def __post_init__(self) -> None:
        if self.checks < 0 or min(self.patience, self.least_segments, self.most_segments) < 1:
            raise InputError(
                f"validation.checks {self.checks}, patience {self.patience}, least_segments {self.least_segments}, "
                f"most_segments {self.most_segments}: give 0 checks or more, and at least 1 of the others"
            )
        if self.best_by not in ("loss", "ranking"):
            raise InputError(f"validation.best_by {self.best_by!r} is unknown: choose loss or ranking")
        if not 0.0 < self.fraction < 1.0:
            raise InputError(f"validation.fraction {self.fraction} is no share of videos: give a value such as 0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """One pretraining run."""

    NOT_IN_SPEC: ClassVar[tuple[str, ...]] = ("keep_checkpoints", "window_segments")
    SOMETIMES_IN_SPEC: ClassVar[tuple[str, ...]] = ("window_segments",)
    """`pretrain_spec` adds it where a corpus has several windows: in a single one it changes nothing."""
    ADDED_LATER: ClassVar[Mapping[str, object]] = {
        "pair_masking": "both", "context_clips": 0, "residual_dropout": 0.0, "least_steps": 0, "most_epochs": 0.0,
        "most_steps": 0, "validation": Validation(),
    }  # fmt: skip

    architecture: Architecture = field(default_factory=Architecture)
    """The encoder from scratch; ignored when `init_from` names a checkpoint."""
    init_from: str = ""
    """Hugging Face id or local directory of a BERT checkpoint; empty starts from scratch."""
    retrieval_dim: int = 128
    """Size of the retrieval vectors."""
    mixture: Mixture = field(default_factory=Mixture)
    """Shares of the regimes in a batch."""
    weights: LossWeights = field(default_factory=LossWeights)
    """Weights of the losses."""
    mask_probability: float = 0.15
    """Share of a modality's tokens that is predicted, at least one an example; 80/10/10 as in BERT."""
    pair_masking: Literal["both", "either"] = "both"
    """What is masked in a pair. `both`: the share above of words and of clips, so that the one clip of a short segment
    is never seen. `either`: words only, with the video whole, or clips only, with the text whole; at a share drawn
    between `mask_probability` and all."""
    context_clips: int = 0
    """Clips before and after a span that the model reads as well; what it says is about the span alone."""
    residual_dropout: float = 0.0
    """Dropout of what quantising left over, where the tokens carry it (`codebook.components`)."""
    joint_cloze: bool = True
    """Mask aligned pairs too (Fig. 3 of the paper); off trains alignment on whole pairs."""
    concatenate_probability: float = 0.5
    """Chance that a pair takes in neighbouring sentences of the same video (section 3.3)."""
    concatenate_max: int = 2
    """Most neighbouring sentences a pair takes in."""
    subsample_rates: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Rates at which the video of a pair is thinned out, drawn at random; (1,) keeps every token."""
    negatives: Literal["same", "other", "mixed"] = "mixed"
    """Where the video of a misaligned pair comes from: the same video, another, or a coin toss."""
    negative_fraction: float = 0.5
    """Share of misaligned pairs in the video-text regime."""
    freeze_visual: bool = True
    """Keep the rows of the visual tokens at their centroids."""
    learning_rate: float = 1e-5
    """Peak learning rate of AdamW."""
    warmup_steps: int = 0
    """Steps of linear warm-up before the linear decay to 0."""
    window_segments: int = 250_000
    """Segments shuffled in memory at a time, about 0.5 kB each; a larger corpus is read window by window, one ahead."""
    steps: int = 0
    """Optimiser steps; 0 derives them from `epochs`."""
    epochs: float = 8.0
    """Passes over the segments when `steps` is 0."""
    least_steps: int = 0
    """Steps that `epochs` never falls short of: a small corpus is passed over more often."""
    most_epochs: float = 0.0
    """Passes that `least_steps` never exceeds; a batch then holds few segments twice. 0: a single segment is repeated
    in whole batches for `least_steps`."""
    most_steps: int = 0
    """Steps that `epochs` never exceeds: a huge corpus is passed over less often. 0: no limit."""
    validation: Validation = field(default_factory=Validation)
    """Early stop."""
    batch_size: int = 128
    """Examples an optimiser step, over all workers and accumulation steps."""
    accumulation: int = 1
    """Parts in which a worker computes its share of a batch, to save memory."""
    weight_decay: float = 0.01
    """Decay of the weight matrices; embeddings, norms and biases are exempt."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto is bf16 on CUDA and fp32 elsewhere; weights and optimiser stay fp32."""
    device: str = "auto"
    """Torch device; auto takes CUDA when there is one."""
    threads: int = 0
    """Torch threads of a worker; 0 leaves torch's choice."""
    checkpoint_every_steps: int = 0
    """Steps between checkpoints; 0 writes none but the last."""
    keep_checkpoints: int = 2
    """Checkpoints that stay during training, the last included; 0 keeps all. The commit keeps the last."""
    log_every_steps: int = 10
    """Steps between records of the learning curve, each the mean over these steps."""
    seed: int = 0
    """Everything random derives from it."""

    def __post_init__(self) -> None:
        _check_data(self)
        _check_optimisation(self)

    def run_steps(self, steps_of: Callable[[float], int]) -> int:
        """Optimiser steps of the run, where `steps_of` says how many so many passes over the segments take."""
        if self.steps:
            return self.steps
        passes = steps_of(self.epochs)
        least = min(self.least_steps, steps_of(self.most_epochs)) if self.most_epochs else self.least_steps
        return min(max(passes, least), self.most_steps or max(passes, least))

    def sized(self, segments: int) -> PretrainConfig:
        """With the batch that so many segments fill twice, where a small corpus has smaller ones (`most_epochs`)."""
        if not self.most_epochs:
            return self
        smallest = max(_SMALLEST_BATCH, self.accumulation)
        return replace(self, batch_size=min(self.batch_size, max(smallest, 2 * segments)))


def _check_data(config: PretrainConfig) -> None:
    for name in ("mask_probability", "concatenate_probability", "negative_fraction"):
        value = getattr(config, name)
        if not 0.0 <= value <= 1.0:
            raise InputError(f"{name} {value} is not a probability: give a value between 0 and 1")
    if config.mask_probability in (0.0, 1.0):
        raise InputError(f"mask_probability {config.mask_probability} leaves no cloze: give a value such as 0.15")
    if not config.subsample_rates or min(config.subsample_rates) < 1:
        raise InputError(f"subsample_rates {config.subsample_rates} must be whole numbers from 1: (1,) keeps all")
    if config.negatives not in ("same", "other", "mixed"):
        raise InputError(f"negatives {config.negatives!r} is unknown: choose same, other or mixed")
    if config.window_segments < 1:
        raise InputError(
            f"window_segments {config.window_segments} holds nothing: 250000 need about 250 MB, with the next one"
        )
    if config.pair_masking not in ("both", "either"):
        raise InputError(f"pair_masking {config.pair_masking!r} is unknown: choose both or either")
    if config.context_clips < 0 or not 0.0 <= config.residual_dropout < 1.0:
        raise InputError(
            f"context_clips {config.context_clips}, residual_dropout {config.residual_dropout}: "
            "give a number of clips from 0 on, and a probability below 1"
        )
    if config.concatenate_max < 0:
        raise InputError(f"concatenate_max {config.concatenate_max} is negative: 0 switches concatenation off")


def _check_optimisation(config: PretrainConfig) -> None:
    if config.batch_size < 1 or config.accumulation < 1 or config.accumulation > config.batch_size:
        raise InputError(
            f"batch_size {config.batch_size} cannot be computed in {config.accumulation} parts: "
            "both are positive and accumulation is not above batch_size"
        )
    ranked = config.validation.checks and config.validation.best_by == "ranking"
    if ranked and not (config.mixture.contrast and config.weights.retrieval):
        raise InputError(
            f"validation.best_by is ranking, which mixture.contrast {config.mixture.contrast} with weights.retrieval "
            f"{config.weights.retrieval} does not teach: choose loss, or make both positive"
        )
    if config.steps < 0 or (config.steps == 0 and config.epochs <= 0):
        raise InputError(f"steps {config.steps} and epochs {config.epochs} train nothing: give one of them")
    if config.learning_rate <= 0 or config.weight_decay < 0 or config.clip_norm <= 0:
        raise InputError(
            f"learning_rate {config.learning_rate}, weight_decay {config.weight_decay}, clip_norm {config.clip_norm}: "
            "the first and last must be positive, the second not negative"
        )
    names = ("warmup_steps", "checkpoint_every_steps", "threads", "least_steps", "most_epochs", "most_steps")
    if negative := [name for name in names if getattr(config, name) < 0]:
        raise InputError(f"{negative[0]} {getattr(config, negative[0])} is negative: give 0 or more")
    if config.retrieval_dim < 1:
        raise InputError(f"retrieval_dim {config.retrieval_dim} leaves no vector: 128 is usual")
    if config.keep_checkpoints < 0:
        raise InputError(f"keep_checkpoints {config.keep_checkpoints} is negative: 2 is usual, 0 keeps all")
    if config.log_every_steps < 1:
        raise InputError(f"log_every_steps {config.log_every_steps} must be at least 1: 10 is usual")
    if config.precision not in ("auto", "fp32", "bf16"):
        raise InputError(f"precision {config.precision!r} is unknown: choose auto, fp32 or bf16")
