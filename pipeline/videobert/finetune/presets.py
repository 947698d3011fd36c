"""Complete configurations of fine-tuning. Standard library only."""

from __future__ import annotations

from typing import Literal

from videobert.finetune.config import AugmentOptions, FinetuneConfig

__all__ = ["sentiment"]


def sentiment(reads: Literal["both", "video", "text"] = "both") -> FinetuneConfig:
    """The mood of segments or videos, from some hundred labels: classes such as positive and negative.

    Moods are seldom equally frequent, so that rare ones count as much; people disagree about them, so that the labels
    are smoothed. What reads both is shown half of the examples without their words: of so few labels these are learnt
    by heart, and the pictures are not looked at. Nothing is frozen: of what no sentence tells, pretraining has kept
    little, least where it projects what the tokens dropped.
    """
    return FinetuneConfig(
        task="classification", reads=reads, freeze="nothing", class_weights="balanced", label_smoothing=0.05,
        epochs=60, patience=20, augment=AugmentOptions(drop_text=0.5 if reads == "both" else 0.0),
    )  # fmt: skip
