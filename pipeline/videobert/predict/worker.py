"""One shard of predictions: the segments or videos of one token tar through a fine-tuned model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from tokenizers import Tokenizer

from videobert.codebook.load import load_tokenizer
from videobert.errors import InputError
from videobert.finetune.sight import Sight
from videobert.predict.config import PredictConfig
from videobert.predict.core import prediction_table, row_of_segment, row_of_video
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.parquet import table_bytes
from videobert.runtime.shards import ShardTask, finish
from videobert.runtime.storage import Store
from videobert.tasks.base import Example
from videobert.tasks.load import load_tuned
from videobert.tasks.registry import get_task
from videobert.tokens.core import from_json
from videobert.tokens.read import read_shard

__all__ = ["PredictWorker"]


class PredictWorker:
    """Loads the model once, then answers for token shards."""

    def __init__(self, config: PredictConfig, store: Store, tuned: Manifest) -> None:
        torch.set_num_threads(1)  # the same sums in the same order, whatever the number of workers
        self._store, self._manifest = store, tuned
        self._network, self._settings = load_tuned(store, tuned, head=config.head, device=config.device)
        self._task = get_task(self._settings["task"])
        self._level = self._settings["level"] if config.level == "task" else config.level
        self._question: tuple[int, ...] | None = None
        self._options: tuple[tuple[int, ...], ...] = ()
        if self._task.asks:
            if not config.question:
                raise InputError(f"predict.question is empty; the task {self._task.name} answers one, so give it")
            if self._task.chooses and len(config.choices) < 2:
                raise InputError(f"predict.choices is {config.choices}; the task {self._task.name} needs at least two")
            tokenizer = load_tokenizer(store, tuned)
            self._question = _ids(tokenizer, config.question)
            self._options = tuple(_ids(tokenizer, choice) for choice in config.choices)

    def __call__(self, task: ShardTask) -> Output:
        batch, path = task.payload
        rows, examples, videos = [], [], 0
        for sample in read_shard(self._store, path):
            videos += 1
            for row, example in self._asked(sample):
                rows.append(row)
                examples.append(example)
        answers = self._task.answers(self._network.predictions(examples), self._settings["facts"])
        facts = self._manifest.facts
        lineage = {
            "batch_key": batch, "shard": task.shard, "task_name": self._task.name,
            "encoder_spec": facts["feature_spec"], "codebook_spec": facts["codebook_spec"],
            "model_spec": facts["model_spec"], "task_spec": self._manifest.spec,
        }  # fmt: skip
        table = prediction_table(rows, answers, lineage=lineage)
        counts = {"videos": videos, "rows": len(rows)}
        return finish(self._store, task, data=table_bytes(table), counts=counts, rejects=())

    def _asked(self, sample: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Example]]:
        """Every row of a video, and what the network sees for it."""
        video = from_json(sample)
        if self._level == "video":
            spans = [(row_of_video(sample), 0, len(video.visual))]
        else:
            spans = [(row_of_segment(sample, i), s.first_clip, s.last_clip) for i, s in enumerate(video.segments)]
        sight, question = Sight.of(self._network, self._settings), self._question
        for row, first, last in spans:
            yield (
                row,
                sight.example(
                    video, first, last, words=lambda said: said if question is None else question, options=self._options
                ),
            )


def _ids(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False).ids)
