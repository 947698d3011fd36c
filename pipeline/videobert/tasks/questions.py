"""Task `open-questions`: an answer from the most frequent ones, by a classifier over question and video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.labels.records import LabelRow
from videobert.tasks.base import Encode
from videobert.tasks.classification import Classification
from videobert.tasks.classifier import VideoBertForVideoClassification

__all__ = ["OpenQuestions", "VideoBertForQuestionAnswering"]

MOST_ANSWERS = 1_000
"""Answers that can be given, as is usual for MSRVTT-QA; rarer ones are left out."""


class VideoBertForQuestionAnswering(VideoBertForVideoClassification):
    """A classifier whose text is the question and whose classes are answers."""

    task = "open-questions"


class OpenQuestions(Classification):
    name = "open-questions"
    summary = "an answer out of the most frequent ones of the training labels"
    needs = "`question` and `answer`"
    asks = True
    kind = VideoBertForQuestionAnswering

    def takes(self, row: LabelRow) -> bool:
        return bool(row.question and row.answer and not row.choices)

    def labels_of(self, row: LabelRow) -> tuple[str, ...]:
        return (row.answer.lower(),) if row.answer else ()

    def facts(self, rows: Sequence[LabelRow], config: FinetuneConfig) -> dict[str, Any]:
        if config.reads != "both":
            raise InputError(
                f"finetune.reads is {config.reads}; a question is read together with its video: leave both"
            )
        common = Counter(row.answer.lower() for row in rows).most_common(MOST_ANSWERS)
        kept = {answer for answer, _ in common}
        return super().facts([replace(row, value=None) for row in rows if row.answer.lower() in kept], config)

    def text_of(self, row: LabelRow, said: tuple[int, ...], encode: Encode) -> tuple[int, ...]:
        return encode(row.question)

    def say(self, row: LabelRow) -> str:
        return f"{row.question} {row.answer}"
