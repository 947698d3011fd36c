"""`videobert ask` and `caption`: one video, answered or described by a fine-tuned model."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from videobert.batch_key import parse_batch_keys
from videobert.errors import InputError
from videobert.labels.records import LabelRow
from videobert.predict.tuned import find_tuned
from videobert.runtime.storage import Store

__all__ = ["AskCommand", "CaptionCommand"]


@dataclass(frozen=True, kw_only=True)
class _OneVideo:
    """Which video, and which model."""

    video: tyro.conf.Positional[str]
    """Id, URI or file name; it must have been ingested and tokenised."""
    root: str
    """Root of the pipeline."""
    task: str = ""
    """Spec of the fine-tuned model; empty: the only one of its kind below the root."""
    batch: str = ""
    """Look in these batches only, separated by commas."""
    start_seconds: float = -1.0
    """Beginning of a span; negative: the whole video."""
    end_seconds: float = -1.0
    """End of the span."""

    def row(self, *, question: str = "", choices: tuple[str, ...] = ()) -> LabelRow:
        if (self.start_seconds < 0) != (self.end_seconds < 0) or self.end_seconds < self.start_seconds:
            raise InputError(f"the span {self.start_seconds} .. {self.end_seconds} needs a beginning and a later end")
        span = (self.start_seconds, self.end_seconds) if self.start_seconds >= 0 else (None, None)
        return LabelRow(
            video=self.video, start_seconds=span[0], end_seconds=span[1], question=question, choices=choices
        )


@dataclass(frozen=True, kw_only=True)
class AskCommand(_OneVideo):
    """Ask a model that was fine-tuned on questions about a video.

    videobert ask kitchen-00001.mp4 "what is being chopped?" --root demo

    With --choices it says which of them fits best.
    """

    question: tyro.conf.Positional[str]
    """In words."""
    choices: str = ""
    """Answers to choose from, with | between them; empty: an open question."""

    def execute(self) -> None:
        from videobert.predict.one import answer_one  # brings torch, which `videobert --help` need not wait for

        store, choices = Store(self.root), tuple(part.strip() for part in self.choices.split("|") if part.strip())
        tuned = find_tuned(store, self.task, tasks=("choices",) if choices else ("open-questions",))
        row = self.row(question=self.question, choices=choices)
        answer = answer_one(store, tuned, row, batches=parse_batch_keys(self.batch))
        for label, score in zip(answer.labels, answer.scores, strict=True):
            said = choices[int(label.removeprefix("choice ")) - 1] if choices else label
            print(f"{score:.3f}  {said}")


@dataclass(frozen=True, kw_only=True)
class CaptionCommand(_OneVideo):
    """Describe a video, or a span of it, with a model that was fine-tuned on captions.

    videobert caption kitchen-00001.mp4 --root demo --start-seconds 0 --end-seconds 5
    """

    def execute(self) -> None:
        from videobert.predict.one import answer_one

        store = Store(self.root)
        tuned = find_tuned(store, self.task, tasks=("captions",))
        print(answer_one(store, tuned, self.row(), batches=parse_batch_keys(self.batch)).text)
