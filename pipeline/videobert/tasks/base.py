"""What a task is: which labels it takes, what it learns from them, how it answers, and what its answers are worth.

A task is one file of this folder and one line of `tasks.registry`. B examples, D hidden width, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.labels.records import LabelRow
from videobert.model.network import VideoBert
from videobert.tokens.footage import Footage

__all__ = ["Answer", "Example", "Task", "TaskNetwork"]

Encode = Callable[[str], tuple[int, ...]]
"""WordPiece ids of a text, without special tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What a network sees of a span of video, and what it should answer."""

    video_id: str
    text_ids: tuple[int, ...] = ()
    """What is said meanwhile, or what is asked; empty: nothing."""
    footage: Footage | None = None
    """The clips; None: the video is not shown."""
    target: Any = None
    """What the task made of the label; None where nobody knows."""
    options: tuple[tuple[int, ...], ...] = ()
    """Texts to choose from, where the task has some."""
    segments: tuple[Example, ...] = ()
    """The segments of the span, where they are read one by one (`finetune.spans`)."""
    part: int = 0
    """Which of several tasks it is of that are learnt together."""

    def without_text(self) -> Example:
        """The clips alone."""
        return replace(self, text_ids=(), segments=tuple(segment.without_text() for segment in self.segments))

    def without_video(self) -> Example:
        """The words alone."""
        return replace(self, footage=None, segments=tuple(segment.without_video() for segment in self.segments))

    def with_clips_of(self, other: Example, *, asked: bool) -> Example:
        """These words over the clips of another example; `asked`: a question, which every segment is read with."""
        if not self.segments and not other.segments:
            return replace(self, footage=other.footage)
        clips = other.segments or (other,)
        own = self.segments or (self,)
        said = [self.text_ids] * len(clips) if asked else [segment.text_ids for segment in own]
        words = said[: len(clips)] + [()] * (len(clips) - len(said))
        theirs = tuple(replace(s, text_ids=text_ids) for s, text_ids in zip(clips, words, strict=True))
        rest = tuple(replace(self, text_ids=t, footage=None, segments=()) for t in said[len(clips) :] if t)
        return replace(self, footage=other.footage, segments=theirs + rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a network says of one example, best first."""

    labels: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    """Probabilities of the labels, or a value."""
    text: str = ""
    """What it writes."""


class TaskNetwork(nn.Module, ABC):
    """An encoder with a head."""

    encoder: VideoBert
    heads: tuple[str, ...] = ()
    """Heads of the encoder that the task trains too; the others stay as pretraining left them."""

    @classmethod
    def from_pretrained(cls, folder_or_id: str | Path) -> Self:
        """The network of a folder or a Hugging Face id, in evaluation mode. Raises InputError for another model."""
        from videobert.tasks.files import open_folder

        folder, encoder, settings = open_folder(folder_or_id)
        if settings["kind"] != cls.__name__:
            raise InputError(f"{folder_or_id} holds a {settings['kind']}, no {cls.__name__}; load it as that")
        return cls.restored(encoder, folder, settings)

    @classmethod
    @abstractmethod
    def restored(cls, encoder: VideoBert, folder: Path, settings: Mapping[str, Any]) -> Self:
        """The network of an opened folder, whose task.json is `settings`."""

    def use_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Take what turns ids into words, where words are written."""
        return

    words_weigh: ClassVar[bool] = False
    """Whether the weight of an example is its number of words, rather than that of its class."""

    @abstractmethod
    def losses(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """(loss, weight) of each example, [B] and [B]; the loss of a batch is the mean by weight."""

    @abstractmethod
    def outputs(self, examples: Sequence[Example]) -> list[Any]:
        """What the task measures and answers from, one for each example. Evaluation mode, no gradients."""

    def predictions(self, examples: Sequence[Example]) -> list[Any]:
        """What the task answers from where there are no labels."""
        return self.outputs(examples)

    @abstractmethod
    def save_pretrained(self, directory: str | Path, **settings: Any) -> None:
        """Write encoder and head in Hugging Face layout, and what `settings` of the task say."""


class Task(ABC):
    """One kind of fine-tuning."""

    name: ClassVar[str]
    summary: ClassVar[str]
    needs: ClassVar[str]
    """The columns of the labels without which it has nothing to learn, in words."""
    asks: ClassVar[bool] = False
    """Whether it answers a question, which `predict.question` gives where there are no labels."""
    chooses: ClassVar[bool] = False
    """Whether it chooses between texts, which `predict.choices` gives."""
    by_segment: ClassVar[bool] = False
    """Whether it can read a span segment by segment."""
    probes: ClassVar[bool] = False
    """Whether a linear model on frozen features can answer it."""
    probe_name: ClassVar[str] = "linear probe"
    """What the report calls that model."""
    reads_alone: ClassVar[bool] = True
    """Whether it can answer without the video, which is then a control."""
    by_loss: ClassVar[bool] = False
    """Whether epochs are compared by their loss, because the figures cost too much."""

    @abstractmethod
    def takes(self, row: LabelRow) -> bool:
        """Whether a row of the labels is for this task."""

    @abstractmethod
    def facts(self, rows: Sequence[LabelRow], config: FinetuneConfig) -> dict[str, Any]:
        """What the training rows say once and for all, such as the classes; ready for JSON.

        Raises InputError where there is nothing to learn from them.
        """

    @abstractmethod
    def target(self, row: LabelRow, facts: Mapping[str, Any], encode: Encode) -> Any:
        """What should be answered; None for a row whose answer no training row has."""

    def text_of(self, row: LabelRow, said: tuple[int, ...], encode: Encode) -> tuple[int, ...]:
        """The text next to the video: what is said meanwhile, unless the task asks something."""
        return said

    def options(self, row: LabelRow, encode: Encode) -> tuple[tuple[int, ...], ...]:
        """Texts to choose from."""
        return ()

    @abstractmethod
    def network(self, encoder: VideoBert, facts: Mapping[str, Any], config: FinetuneConfig) -> TaskNetwork:
        """A network to train."""

    def teach(self, network: TaskNetwork, teacher: TaskNetwork, config: FinetuneConfig) -> None:
        """Let a network learn from a larger one. Raises InputError where the task, or that pair, cannot."""
        raise InputError(f"finetune.teacher is {config.teacher}; the task {self.name} learns from no teacher")

    @abstractmethod
    def load(self, encoder: VideoBert, directory: Path, settings: Mapping[str, Any]) -> TaskNetwork:
        """The network that `save_pretrained` wrote; `settings` is its task.json."""

    @abstractmethod
    def figures(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> dict[str, float]:
        """Metrics; the first is the one by which epochs are compared, and larger is better."""

    def measure(
        self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]
    ) -> Callable[[Sequence[int]], dict[str, float]]:
        """What measures some of the examples, by number, also with repetitions: all of them give `figures`."""
        return lambda chosen: self.figures([outputs[i] for i in chosen], [targets[i] for i in chosen], facts)

    @abstractmethod
    def answers(self, outputs: Sequence[Any], facts: Mapping[str, Any]) -> list[Answer]:
        """Outputs as rows of predictions say them."""

    @abstractmethod
    def worth(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> list[float]:
        """How good each answer is, for the best and worst examples of the report."""

    def told(self, output: Any, facts: Mapping[str, Any]) -> str:
        """An output in words."""
        (answer,) = self.answers([output], facts)
        return answer.text or next(iter(answer.labels), "")

    def controls(
        self,
        pretrained: VideoBert,
        examples: Mapping[str, Sequence[Example]],
        facts: Mapping[str, Any],
        config: FinetuneConfig,
    ) -> dict[str, list[Any]]:
        """Further controls of the test split by name, from the pretrained model and the examples by split."""
        return {}

    @abstractmethod
    def say(self, row: LabelRow) -> str:
        """The right answer in words."""

    def table(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> dict[str, Any]:
        """A table for the report, such as a confusion matrix: title, labels and rows; empty: none."""
        return {}

    def constant(self, targets: Sequence[Any], facts: Mapping[str, Any], count: int) -> list[Any] | None:
        """Outputs that look at nothing: the control `majority`. None where the task has none."""
        return None

    def probe(
        self,
        features: Mapping[str, NDArray[np.float32]],
        targets: Mapping[str, Sequence[Any]],
        facts: Mapping[str, Any],
        config: FinetuneConfig,
    ) -> list[Any]:
        """Outputs on the test split of a plain model on frozen features by split, [B, D]; for tasks with `probes`."""
        raise NotImplementedError(self.name)
