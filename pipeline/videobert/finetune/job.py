"""What every worker of a fine-tuning runs, in this process or under Ray Train: load, resume, train, measure."""

from __future__ import annotations

import dataclasses
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from videobert.codebook.load import TOKENIZER_FILES, load_tokenizer
from videobert.errors import InputError
from videobert.finetune.card import model_card
from videobert.finetune.checkpoints import resume, upload_folder, write_checkpoint
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.data import add_views, check_splits, label_examples
from videobert.finetune.labels import LabelFile
from videobert.finetune.measure import measure
from videobert.finetune.part import Part
from videobert.finetune.pictures import frames_of
from videobert.finetune.report import Shown, render_report
from videobert.finetune.run import RESULT
from videobert.finetune.train import TuneState, finetune, steps_of
from videobert.labels.read import parse_labels
from videobert.model.load import load_committed_model
from videobert.model.network import VideoBert
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.progress import Progress
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store
from videobert.tasks.base import TaskNetwork
from videobert.tasks.load import load_tuned
from videobert.tasks.registry import get_task
from videobert.tasks.sequences import text_room
from videobert.tasks.together import Together
from videobert.tokens.prompt import ended_alike, narration_of
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
    labels: tuple[LabelFile, ...]
    """Of the task, and of those that are learnt with it."""
    pretrain: Manifest
    tokens: tuple[Manifest, ...]
    views: tuple[Manifest, ...] = ()
    """Tokens of other views of the same videos, for training."""

    def __call__(self, rank: int, world_size: int) -> None:
        """From the last checkpoint to the result; only rank 0 writes."""
        parts, network = self._prepared()
        state = resume(self.store, self.folder, network)

        def on_checkpoint(weights: dict[str, torch.Tensor], at: TuneState) -> None:
            if rank == 0:
                write_checkpoint(self.store, self.folder, weights, at)

        self._trained(parts, network, state, rank, world_size, on_checkpoint)
        if rank == 0:
            self._write(parts, state)

    def validation_only(self) -> list[dict[str, float]]:
        """Train from the beginning, write nothing, and return the figures of the validation split by epoch."""
        parts, network = self._prepared()
        state = TuneState()
        self._trained(parts, network, state, 0, 1, lambda weights, at: None)
        return state.validation

    def _prepared(self) -> tuple[list[Part], TaskNetwork]:
        """The tasks, and the network that learns all of them."""
        if self.config.threads:
            torch.set_num_threads(self.config.threads)
        encoder = load_committed_model(self.store, self.pretrain)
        around = encoder.reading.context_clips
        prompt = self._prompt(encoder) if self.config.pool == "words" else []
        # The first one last, so that the encoder's configuration names its classes.
        numbered = reversed([*enumerate(self.labels)])
        parts = [self._part(file, encoder, around, number, prompt) for number, file in numbered][::-1]
        check_splits([(part.file.url, part.labelled) for part in parts])
        first = parts[0]
        if self.config.teacher:
            first.task.teach(first.network, self._teacher(), self.config)
        if len(parts) == 1:
            return parts, first.network
        return parts, Together([part.network for part in parts], [part.file.weight for part in parts])

    def _trained(
        self,
        parts: Sequence[Part],
        network: TaskNetwork,
        state: TuneState,
        rank: int,
        world_size: int,
        on_checkpoint: Callable[[dict[str, torch.Tensor], TuneState], None],
    ) -> None:
        train = [example for part in parts for example in part.labelled.examples["train"]]
        total = self.config.epochs * steps_of(len(train), self.config)
        progress = Progress(f"finetune {self.config.task}", total=total, done=state.step)
        finetune(
            network, train, parts[0].validator(self.config, state, quiet=rank > 0), self.config, state=state,
            rank=rank, world_size=world_size, on_step=lambda record: progress.advance(int(record["step"])),
            on_checkpoint=on_checkpoint,
        )  # fmt: skip

    def _part(self, file: LabelFile, encoder: VideoBert, around: int, number: int, prompt: list[int]) -> Part:
        """A task with its examples, and a network on the encoder that all share."""
        task, tokenizer = get_task(file.task), load_tokenizer(self.store, self.pretrain)

        def encode(text: str) -> tuple[int, ...]:
            return tuple(tokenizer.encode(text, add_special_tokens=False).ids)

        outputs = [output for manifest in self.tokens for output in manifest.outputs]
        labelled = label_examples(
            task, parse_labels(file.data, file.url), read_samples(self.store, outputs), self.config,
            location=file.url, around=around, part=number,
            encode=encode,
        )  # fmt: skip
        for view in self.views:
            seen = read_samples(self.store, view.outputs)
            add_views(task, labelled, seen, self.config, encode=encode, around=around)
        for reason, count in labelled.left_out.items():
            _LOG.warning("finetune %s: %d rows of the labels are left out: %s", task.name, count, reason)
        if prompt:
            labelled.facts["prompt"] = prompt
        network = task.network(encoder, labelled.facts, self.config)
        network.use_tokenizer(tokenizer)
        return Part(file=file, task=task, labelled=labelled, network=network)

    def _prompt(self, encoder: VideoBert) -> list[int]:
        """What is asked with `pool` words. Raises InputError for what the model has no room for."""
        tokenizer = load_tokenizer(self.store, self.pretrain)
        narration = Counter[tuple[int, ...]]()
        for sample in read_samples(self.store, [output for manifest in self.tokens for output in manifest.outputs]):
            narration.update(narration_of(sample))
        asked = tokenizer.encode(self.config.prompt, add_special_tokens=False).ids
        prompt = ended_alike(asked, narration, tokenizer)
        if (room := text_room(encoder)) < len(prompt):
            raise InputError(
                f"finetune.prompt {self.config.prompt!r} is {len(prompt)} word pieces long and the model has room for "
                f"{room}; shorten it"
            )
        return prompt

    def _teacher(self) -> TaskNetwork:
        manifest = load_manifest(self.store, "finetune", self.config.teacher, "")
        if manifest is None:
            raise InputError(
                f"finetune.teacher {self.config.teacher} is not committed; `videobert status` shows what is"
            )
        teacher, _ = load_tuned(self.store, manifest, device=self.config.device)
        return teacher

    def _write(self, parts: Sequence[Part], state: TuneState) -> None:
        """Measure, and write everything that the stage commits."""
        (first, *others), device = parts, parts[0].network.encoder.device
        pretrained = load_committed_model(self.store, self.pretrain).to(device)
        figures, outputs = measure(first.task, first.network, pretrained, first.labelled, self.config)
        facts = self._facts(parts, state)
        metrics: dict[str, Any] = {
            **facts, "figures": figures, "validation": state.validation, **first.counts(),
            "search": json.loads(self.store.read(self.config.search)) if self.config.search else {},
            "also": [
                {
                    "task": part.task.name, "weight": part.file.weight, **part.counts(),
                    "figures": measure(part.task, part.network, pretrained, part.labelled, self.config)[0],
                }
                for part in others
            ],
        }  # fmt: skip
        shown = Shown.of(first.task, first.labelled, outputs)
        shown.show(partial(frames_of, self.store, self.tokens))
        with tempfile.TemporaryDirectory(prefix="videobert-") as temporary:
            local = Path(temporary)
            for number, part in reversed([*enumerate(parts)]):
                part.save(local, number, reads=self.config.reads)
            for name in TOKENIZER_FILES:
                source = f"{self.pretrain.facts['directory']}/{name}"
                (local / name).write_bytes(self.store.read(source))
            (local / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
            card = model_card(
                self.spec, metrics, self.pretrain, kind=type(first.network), answers=first.task.summary
            )  # fmt: skip
            (local / "README.md").write_bytes(card)
            (local / "report.html").write_bytes(render_report(self.spec, metrics, state.curve, shown))
            written = upload_folder(self.store, local, self.folder)
        result = {"files": [dataclasses.asdict(output) for output in written], "facts": facts}
        self.store.write(f"{self.folder}/{RESULT}", canonical_json(result))

    def _facts(self, parts: Sequence[Part], state: TuneState) -> dict[str, Any]:
        """What readers of the manifest need."""
        return {
            "task": self.config.task, "level": parts[0].labelled.level, "reads": self.config.reads,
            "spans": self.config.spans, "pool": self.config.pool, "epoch": state.best_epoch,
            "model_spec": self.pretrain.spec, "codebook_spec": self.pretrain.facts["codebook_spec"],
            "feature_spec": self.pretrain.facts["feature_spec"],
            "batches": [manifest.batch for manifest in self.tokens],
            "heldout_fraction": 0.0,  # its report shows videos of every split, which `forget` then says
        }  # fmt: skip
