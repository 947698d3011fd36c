"""Complete configurations of fine-tuning. Standard library only."""

from __future__ import annotations

from typing import Literal

from videobert.finetune.config import FinetuneConfig

__all__ = ["sentiment"]


def sentiment(reads: Literal["both", "video", "text"] = "both") -> FinetuneConfig:
    """The mood of segments or videos, from some hundred labels: classes such as positive and negative.

    Moods are seldom equally frequent, so that rare ones count as much; people disagree about them, so that the labels
    are smoothed.
    """
    return FinetuneConfig(
        task="classification", reads=reads, freeze="embeddings", class_weights="balanced", label_smoothing=0.05,
        epochs=30, patience=8,
    )  # fmt: skip
