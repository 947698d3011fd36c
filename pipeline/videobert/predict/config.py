"""What may vary when a fine-tuned model answers for every segment or video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from videobert.errors import InputError

__all__ = ["PredictConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictConfig:
    """What a row of predictions is about."""

    NOT_IN_SPEC: ClassVar[tuple[str, ...]] = ("device",)
    ADDED_LATER: ClassVar[Mapping[str, object]] = {"head": 0}

    level: Literal["task", "segment", "video"] = "task"
    """A row for every segment, for every video, or as the labels of the task were."""
    question: str = ""
    """What a task that answers questions is asked of every row; for `retrieval` what is looked for."""
    choices: tuple[str, ...] = ()
    """What the task `choices` chooses from."""
    head: int = 0
    """Which of several tasks that were learnt together answers; 0: the first."""
    device: str = "auto"
    """Torch device of the model; `auto` takes a GPU where there is one. Moves the last digits, about 1e-5."""

    def __post_init__(self) -> None:
        if self.level not in ("task", "segment", "video"):
            raise InputError(f"predict.level is {self.level!r}; choose task, segment or video")
        if self.head < 0:
            raise InputError(f"predict.head is {self.head}; it must not be negative")
