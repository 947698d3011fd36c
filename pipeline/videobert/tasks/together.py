"""Several tasks on one encoder, learnt at once (Caruana 1997). B examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from videobert.model.network import VideoBert
from videobert.tasks.base import Example, TaskNetwork

__all__ = ["Together"]


class Together(TaskNetwork):
    """Networks that share an encoder. `Example.part` says whose an example is; the first one is what is measured.

    An example counts by the weight of its task, whatever it is of: a sentence by the mean over its words, so that long
    ones do not outweigh classes.
    """

    def __init__(self, parts: Sequence[TaskNetwork], weights: Sequence[float]) -> None:
        super().__init__()
        self.encoder, self.weights = parts[0].encoder, tuple(weights)
        self.parts = nn.ModuleList(parts)
        self.heads = tuple(dict.fromkeys(head for part in parts for head in part.heads))

    @property
    def first(self) -> TaskNetwork:
        """The network whose figures choose the epoch."""
        part = self.parts[0]
        assert isinstance(part, TaskNetwork)
        return part

    def losses(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        losses: list[Tensor] = []
        weights: list[Tensor] = []
        for number, (part, weight) in enumerate(zip(self.parts, self.weights, strict=True)):
            if not (own := [example for example in examples if example.part == number]):
                continue
            assert isinstance(part, TaskNetwork)
            losses_B, weights_B = part.losses(own)
            losses.append(losses_B)
            weights.append(torch.full_like(losses_B, weight) if part.words_weigh else weight * weights_B)
        return torch.cat(losses), torch.cat(weights)

    def outputs(self, examples: Sequence[Example]) -> list[Any]:
        """Of the first task."""
        return self.first.outputs(examples)

    def save_pretrained(self, directory: str | Path, **settings: Any) -> None:
        """Of the first task; the others are saved each for itself."""
        self.first.save_pretrained(directory, **settings)

    @classmethod
    def restored(cls, encoder: VideoBert, folder: Path, settings: Mapping[str, Any]) -> Self:
        raise TypeError("a folder holds the networks one by one; load the one whose task is wanted")
