"""One of the tasks that are learnt: its labels, its examples and its network."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from videobert.finetune.config import FinetuneConfig
from videobert.finetune.data import Labelled
from videobert.finetune.labels import LabelFile
from videobert.finetune.train import TuneState
from videobert.tasks.base import Task, TaskNetwork
from videobert.tasks.files import add_head

__all__ = ["Part"]

_LOG = logging.getLogger("videobert")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Several of them share an encoder."""

    file: LabelFile
    task: Task
    labelled: Labelled
    network: TaskNetwork

    def validator(
        self, config: FinetuneConfig, state: TuneState, *, quiet: bool
    ) -> Callable[[TaskNetwork], dict[str, float]]:
        """What measures this task on the validation split after an epoch."""
        examples, facts = self.labelled.examples["validation"], self.labelled.facts
        targets = [example.target for example in examples]

        def validate(_: TaskNetwork) -> dict[str, float]:
            loss = self._mean_loss(config.batch_size)
            if self.task.by_loss:
                figures = {"minus_loss": -loss}
            else:
                figures = self.task.figures(self.network.outputs(examples), targets, facts)
            figures["loss"] = loss
            if not quiet:
                said = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
                _LOG.info("finetune %s: epoch %d, %s", self.task.name, len(state.validation) + 1, said)
            return figures

        return validate

    def counts(self) -> dict[str, Any]:
        """Of examples and videos by split, and of rows that were left out."""
        found = self.labelled.examples
        return {
            "left_out": self.labelled.left_out,
            "videos": {split: len({e.video_id for e in examples}) for split, examples in found.items()},
            "examples": {split: len(examples) for split, examples in found.items()},
        }

    def save(self, directory: Path, number: int, *, reads: str) -> None:
        """Write the network as the first one, number 0, or as a further head. Labels of the encoder become its own."""
        settings = {"facts": self.labelled.facts, "level": self.labelled.level, "reads": reads}
        if labels := self.labelled.facts.get("labels"):
            config = self.network.encoder.config
            config.id2label, config.label2id = dict(enumerate(labels)), {name: i for i, name in enumerate(labels)}
            config.problem_type = self.labelled.facts["problem_type"]
        if number:
            add_head(self.network, directory, number, settings)
        else:
            self.network.save_pretrained(directory, **settings)

    def _mean_loss(self, size: int) -> float:
        """Mean loss by weight over the validation split, in evaluation mode."""
        network, examples = self.network, self.labelled.examples["validation"]
        training = network.training
        network.eval()
        total = weight = 0.0
        with torch.inference_mode():
            for begin in range(0, len(examples), size):
                losses_B, weights_B = network.losses(examples[begin : begin + size])
                total += float((losses_B * weights_B).sum())
                weight += float(weights_B.sum())
        network.train(training)
        return total / weight
