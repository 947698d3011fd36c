"""Hugging Face's way: Trainer, BertForPreTraining, sequences padded, scores of the whole vocabulary at every place.

It gets our sequences, masks and first weights ready-made in memory, so its data costs it only the padding.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import BertForPreTraining, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from tests.benchmarks.pretrain.setting import MAX_LENGTH, Setting
from videobert.model.network import VideoBert
from videobert.pretrain.data import Example

__all__ = ["PADDINGS", "as_trainer_model", "into_ours", "pad", "run_trainer", "trainer_rows"]

PADDINGS = ("max", "longest")
"""Pad to MAX_LENGTH, or to the longest sequence of the batch."""

IGNORED = -100
Row = dict[str, Any]


class _InOrder(Trainer):
    """Trainer that keeps the order of the data, so that step s of both rivals holds the same sequences."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        assert isinstance(self.train_dataset, list)
        return SequentialSampler(self.train_dataset)


class _StepEnd(TrainerCallback):
    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._call()


def run_trainer(setting: Setting, *, padding: str, on_step: Callable[[], None]) -> BertForPreTraining:
    """Train from the first weights through all steps of `setting`."""
    model = as_trainer_model(setting.model())
    config = setting.config
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = TrainingArguments(
            output_dir=folder, max_steps=setting.steps, per_device_train_batch_size=setting.batch,
            learning_rate=config.learning_rate, weight_decay=config.weight_decay, max_grad_norm=config.clip_norm,
            lr_scheduler_type="linear", optim="adamw_torch_fused", bf16=setting.precision == "bf16",
            use_cpu=setting.device == "cpu", remove_unused_columns=False, dataloader_pin_memory=False,
            save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True,
        )  # fmt: skip
        trainer = _InOrder(
            model=model, args=arguments, train_dataset=trainer_rows(setting.examples()),
            data_collator=lambda rows: pad(rows, padding), callbacks=[_StepEnd(on_step)],
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return model


def into_ours(model: BertForPreTraining, setting: Setting) -> VideoBert:
    """The same weights behind our interface, to be measured with the same ruler."""
    ours = setting.model()
    ours.bert.load_state_dict(model.bert.state_dict())
    ours.predictions.load_state_dict(model.cls.predictions.state_dict())
    return ours.to(setting.device)


def as_trainer_model(ours: VideoBert) -> BertForPreTraining:
    """Transformers' own model with our weights; its pooler's head for the next sentence is fresh."""
    theirs = BertForPreTraining(type(ours.config).from_dict(ours.config.to_dict()))
    theirs.bert.load_state_dict(ours.bert.state_dict())
    theirs.cls.predictions.load_state_dict(ours.predictions.state_dict())
    return theirs


def pad(rows: Sequence[Row], padding: str) -> dict[str, Tensor]:
    """One batch of tensors [B, L]; `padding` is one of PADDINGS."""
    width = MAX_LENGTH if padding == "max" else max(len(row["input_ids"]) for row in rows)
    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    batch = {"attention_mask": (torch.arange(width) < lengths.unsqueeze(1)).long()}
    for name, filler in (("input_ids", 0), ("token_type_ids", 0), ("labels", IGNORED)):
        batch[name] = torch.full((len(rows), width), filler)
        for place, row in zip(batch[name], rows, strict=True):
            place[: len(row[name])] = row[name]
    batch["next_sentence_label"] = torch.tensor([row["next_sentence_label"] for row in rows])
    return batch


def trainer_rows(examples: Sequence[Example]) -> list[Row]:
    """Examples as a dataset of Trainer's, with their labels; alignment stands in for the next sentence."""
    return [_row(example) for example in examples]


def _row(example: Example) -> Row:
    labels = torch.full((len(example.ids_L),), IGNORED)
    labels[torch.from_numpy(example.masked_M)] = torch.from_numpy(example.targets_M)
    follows = IGNORED if example.aligned is None else int(not example.aligned)
    return {
        "input_ids": torch.from_numpy(example.ids_L), "token_type_ids": torch.from_numpy(example.types_L),
        "labels": labels, "next_sentence_label": follows,
    }  # fmt: skip
