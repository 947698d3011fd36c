"""What every worker of a fine-tuning runs, in this process or under Ray Train: load, resume, train, measure."""

from __future__ import annotations

import dataclasses
import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from videobert.codebook.load import TOKENIZER_FILES, load_tokenizer
from videobert.errors import InputError
from videobert.finetune.card import model_card
from videobert.finetune.checkpoints import resume, upload_folder, write_checkpoint
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.data import Labelled, label_examples
from videobert.finetune.measure import measure
from videobert.finetune.report import Shown, render_report
from videobert.finetune.run import RESULT
from videobert.finetune.train import TuneState, finetune, steps_of
from videobert.labels.read import parse_labels
from videobert.model.load import load_committed_model
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.progress import Progress
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store
from videobert.tasks.base import Example, Task, TaskNetwork
from videobert.tasks.load import load_tuned
from videobert.tasks.registry import get_task
from videobert.tokens.read import read_samples

__all__ = ["FinetuneJob"]

_LOG = logging.getLogger("videobert")


@dataclass(frozen=True, kw_only=True)
class FinetuneJob:
    """Everything a worker needs; small, since it travels to every worker."""

    config: FinetuneConfig
    store: Store
    folder: str
    """Where the result goes, relative to the root."""
    spec: str
    labels: bytes
    labels_url: str
    pretrain: Manifest
    tokens: tuple[Manifest, ...]

    def __call__(self, rank: int, world_size: int) -> None:
        """From the last checkpoint to the result; only rank 0 writes."""
        if self.config.threads:
            torch.set_num_threads(self.config.threads)
        task = get_task(self.config.task)
        encoder = load_committed_model(self.store, self.pretrain)
        labelled = self._labelled(task, encoder.reading.context_clips)
        network = task.network(encoder, labelled.facts, self.config)
        network.use_tokenizer(load_tokenizer(self.store, self.pretrain))
        if self.config.teacher:
            task.teach(network, self._teacher(), self.config)
        state = resume(self.store, self.folder, network)
        train, validation = labelled.examples["train"], labelled.examples["validation"]
        total = self.config.epochs * steps_of(len(train), self.config)
        progress = Progress(f"finetune {self.config.task}", total=total, done=state.step)
        targets = [example.target for example in validation]

        def validate(network: TaskNetwork) -> dict[str, float]:
            loss = _mean_loss(network, validation, self.config.batch_size)
            if task.by_loss:
                figures = {"minus_loss": -loss}
            else:
                figures = task.figures(network.outputs(validation), targets, labelled.facts)
            figures["loss"] = loss
            if rank == 0:
                said = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
                _LOG.info("finetune %s: epoch %d, %s", task.name, len(state.validation) + 1, said)
            return figures

        def on_checkpoint(weights: dict[str, torch.Tensor], at: TuneState) -> None:
            if rank == 0:
                write_checkpoint(self.store, self.folder, weights, at)

        finetune(
            network, train, validate, self.config, state=state, rank=rank, world_size=world_size,
            on_step=lambda record: progress.advance(int(record["step"])), on_checkpoint=on_checkpoint,
        )  # fmt: skip
        if rank == 0:
            self._write(task, network, labelled, state)

    def _labelled(self, task: Task, around: int) -> Labelled:
        tokenizer = load_tokenizer(self.store, self.pretrain)
        outputs = [output for manifest in self.tokens for output in manifest.outputs]
        labelled = label_examples(
            task, parse_labels(self.labels, self.labels_url), read_samples(self.store, outputs), self.config,
            location=self.labels_url, around=around,
            encode=lambda text: tuple(tokenizer.encode(text, add_special_tokens=False).ids),
        )  # fmt: skip
        for reason, count in labelled.left_out.items():
            _LOG.warning("finetune %s: %d rows of the labels are left out: %s", task.name, count, reason)
        return labelled

    def _teacher(self) -> TaskNetwork:
        manifest = load_manifest(self.store, "finetune", self.config.teacher, "")
        if manifest is None:
            raise InputError(
                f"finetune.teacher {self.config.teacher} is not committed; `videobert status` shows what is"
            )
        teacher, _ = load_tuned(self.store, manifest, device=self.config.device)
        return teacher

    def _write(self, task: Task, network: TaskNetwork, labelled: Labelled, state: TuneState) -> None:
        """Measure, and write everything that the stage commits."""
        pretrained = load_committed_model(self.store, self.pretrain).to(network.encoder.device)
        figures, outputs = measure(task, network, pretrained, labelled, self.config)
        facts = self._facts(labelled, state)
        metrics: dict[str, Any] = {
            **facts, "figures": figures, "validation": state.validation, "left_out": labelled.left_out,
            "videos": {s: len({e.video_id for e in found}) for s, found in labelled.examples.items()},
            "examples": {s: len(found) for s, found in labelled.examples.items()},
        }  # fmt: skip
        shown = Shown.of(task, labelled, outputs)
        with tempfile.TemporaryDirectory(prefix="videobert-") as temporary:
            local = Path(temporary)
            network.save_pretrained(local, facts=labelled.facts, level=labelled.level, reads=self.config.reads)
            for name in TOKENIZER_FILES:
                source = f"{self.pretrain.facts['directory']}/{name}"
                (local / name).write_bytes(self.store.read(source))
            (local / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
            (local / "README.md").write_bytes(model_card(self.spec, metrics, self.pretrain))
            (local / "report.html").write_bytes(render_report(self.spec, metrics, state.curve, shown))
            written = upload_folder(self.store, local, self.folder)
        result = {"files": [dataclasses.asdict(output) for output in written], "facts": facts}
        self.store.write(f"{self.folder}/{RESULT}", canonical_json(result))

    def _facts(self, labelled: Labelled, state: TuneState) -> dict[str, Any]:
        """What readers of the manifest need."""
        return {
            "task": self.config.task, "level": labelled.level, "reads": self.config.reads,
            "epoch": state.best_epoch, "model_spec": self.pretrain.spec,
            "codebook_spec": self.pretrain.facts["codebook_spec"], "feature_spec": self.pretrain.facts["feature_spec"],
            "batches": [manifest.batch for manifest in self.tokens],
        }  # fmt: skip


def _mean_loss(network: TaskNetwork, examples: Sequence[Example], size: int) -> float:
    """Mean loss by weight, in evaluation mode."""
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
