"""The report of a fine-tuning: one HTML page with figures, controls, curve and examples, every text escaped."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from videobert.finetune.data import Labelled
from videobert.labels.records import LabelRow
from videobert.tasks.base import Task
from videobert.visualization.environment import data_url, render_file

__all__ = ["Shown", "render_report"]

EXAMPLES = 10
"""Of the best and of the worst answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the page shows besides figures."""

    best: list[dict[str, Any]]
    worst: list[dict[str, Any]]
    table: dict[str, Any]
    """Of the task, such as a confusion matrix: title, labels, counts; empty: none."""

    @classmethod
    def of(cls, task: Task, labelled: Labelled, outputs: Sequence[Any]) -> Self:
        """The test examples whose answers are best and worst."""
        examples, rows = labelled.examples["test"], labelled.rows["test"]
        targets = [example.target for example in examples]
        worth = task.worth(outputs, targets, labelled.facts)
        order = np.argsort(-np.asarray(worth), kind="stable").tolist()
        told = [
            {
                "video_id": example.video_id,
                "row": row,
                "uri": labelled.uris[example.video_id],
                "span": _span(row),
                "truth": task.say(row),
                "answer": task.told(output, labelled.facts),
                "worth": value,
            }
            for example, row, output, value in zip(examples, rows, outputs, worth, strict=True)
        ]  # fmt: skip
        return cls(
            best=[dict(told[i]) for i in order[:EXAMPLES]],
            worst=[dict(told[i]) for i in order[: -EXAMPLES - 1 : -1]],
            table=task.table(outputs, targets, labelled.facts),
        )

    def show(self, frames: Callable[[list[tuple[str, LabelRow]]], list[list[bytes]]]) -> None:
        """Put the pictures that `frames` gives for (video id, label) to the examples, as data URLs."""
        told = [*self.best, *self.worst]
        for each, pictures in zip(told, frames([(each["video_id"], each["row"]) for each in told]), strict=True):
            each["pictures"] = [data_url(picture) for picture in pictures]


def _span(row: LabelRow) -> str:
    return "whole video" if row.start_seconds is None else f"{row.start_seconds:.1f} to {row.end_seconds:.1f} s"


def render_report(
    spec: str, metrics: Mapping[str, Any], curve: Sequence[Mapping[str, float]], shown: Shown
) -> bytes:  # fmt: skip
    """One self-contained page. Labels, captions and file names are hostile text: the template escapes them."""
    given = {"spec": spec, "metrics": metrics, "shown": shown, "curves": _curves(curve, metrics["validation"])}
    return render_file("videobert.finetune", "report.html", given)


def _curves(curve: Sequence[Mapping[str, float]], validation: Sequence[Mapping[str, float]]) -> str:
    """Training loss by step, and the figures of the validation split by epoch, as a PNG data URL."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot([record["step"] for record in curve], [record["loss"] for record in curve])
    left.set_xlabel("step")
    left.set_ylabel("training loss")
    for name in validation[0]:
        right.plot(range(1, len(validation) + 1), [figures[name] for figures in validation], label=name, marker=".")
    right.set_xlabel("epoch")
    right.set_ylabel("validation")
    right.legend(fontsize="small")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=110, metadata={"Software": None})
    return data_url(sink.getvalue())
