"""Task `classification`: a class, several classes or a value for every segment or video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.labels.records import LabelRow
from videobert.model.network import VideoBert
from videobert.tasks import metrics
from videobert.tasks.base import Answer, Encode, Task, TaskNetwork
from videobert.tasks.classifier import ProblemType, VideoBertForVideoClassification
from videobert.tasks.distillation import Teacher
from videobert.tasks.probe import fit_probe

__all__ = ["Classification"]

BEST = 5
"""Classes that an answer names."""
MOST_SHOWN = 40
"""Classes of which the report still draws a confusion matrix."""


class Classification(Task):
    name = "classification"
    summary = "a class, several classes, or a value for every segment or video"
    needs = "`label`, or `value` for regression"
    probes = True
    by_segment = True
    kind: ClassVar[type[VideoBertForVideoClassification]] = VideoBertForVideoClassification

    def takes(self, row: LabelRow) -> bool:
        return bool(self.labels_of(row)) or row.value is not None

    def labels_of(self, row: LabelRow) -> tuple[str, ...]:
        """The classes of a row."""
        return row.label

    def facts(self, rows: Sequence[LabelRow], config: FinetuneConfig) -> dict[str, Any]:
        labelled = [self.labels_of(row) for row in rows]
        with_value = [row for row in rows if row.value is not None]
        if with_value:
            if len(with_value) < len(rows) or any(labelled):
                raise InputError("some training rows have a value and others a label; give one file for each of them")
            return _regression(np.array([row.value for row in with_value], dtype=np.float64))
        counts = Counter(label for labels in labelled for label in labels)
        if len(counts) < 2:
            raise InputError(f"every training row says {next(iter(counts))!r}; give at least two classes")
        if len(rows) < len(counts):
            raise InputError(
                f"{len(rows)} training rows for {len(counts)} classes are fewer than one for each; label more, or join "
                "classes"
            )
        several = any(len(labels) > 1 for labels in labelled)
        problem: ProblemType = "multi_label_classification" if several else "single_label_classification"
        classes = sorted(counts)
        return {
            "problem_type": problem, "labels": classes, "unit": [0.0, 1.0],
            "class_weights": _weights(problem, [counts[name] for name in classes], len(rows), config),
        }  # fmt: skip

    def target(self, row: LabelRow, facts: Mapping[str, Any], encode: Encode) -> Any:
        if facts["problem_type"] == "regression":
            return None if row.value is None else np.float64(row.value)
        classes: list[str] = facts["labels"]
        own = [classes.index(label) for label in self.labels_of(row) if label in classes]
        if not own:
            return None
        if facts["problem_type"] == "single_label_classification":
            return np.int64(own[0]) if len(self.labels_of(row)) == 1 else None
        return np.isin(np.arange(len(classes)), own)

    def network(
        self, encoder: VideoBert, facts: Mapping[str, Any], config: FinetuneConfig
    ) -> VideoBertForVideoClassification:
        network = self.kind(
            encoder, id2label=dict(enumerate(facts["labels"])), problem_type=facts["problem_type"], pool=config.pool,
            fusion=config.fusion, segment_layers=config.segment_layers if config.spans == "segments" else 0,
            dropout=config.dropout, label_smoothing=config.label_smoothing, class_weights=facts["class_weights"],
            unit=tuple(facts["unit"]), prompt=facts.get("prompt", ()), seed=config.seed,
        )  # fmt: skip
        network.mixup = config.augment.mixup
        return network

    def load(self, encoder: VideoBert, directory: Path, settings: Mapping[str, Any]) -> VideoBertForVideoClassification:
        return self.kind.restored(encoder, directory, settings)

    def teach(self, network: TaskNetwork, teacher: TaskNetwork, config: FinetuneConfig) -> None:
        assert isinstance(network, VideoBertForVideoClassification)
        if not isinstance(teacher, VideoBertForVideoClassification) or teacher.labels != network.labels:
            raise InputError(
                f"finetune.teacher {config.teacher} answers other classes than these labels; fine-tune it on the same"
            )
        if teacher.encoder.vocabulary != network.encoder.vocabulary:
            raise InputError(f"finetune.teacher {config.teacher} reads other tokens; fine-tune it on the same codebook")
        if teacher.over is not None and network.over is None:
            raise InputError(
                f"finetune.teacher {config.teacher} reads spans by segment and this model reads them whole; set "
                "finetune.spans to segments"
            )
        network.teacher = Teacher(
            network=teacher, weight=config.teacher_weight, temperature=config.teacher_temperature,
            problem_type=network.problem_type,
        )  # fmt: skip

    def figures(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> dict[str, float]:
        values_BC, truth = np.stack(outputs), np.stack(targets)
        if facts["problem_type"] == "regression":
            return metrics.regression(values_BC[:, 0].astype(np.float64), truth)
        if facts["problem_type"] == "multi_label_classification":
            return metrics.multi_label(values_BC, truth)
        return metrics.single_label(values_BC, truth)

    def answers(self, outputs: Sequence[Any], facts: Mapping[str, Any]) -> list[Answer]:
        if facts["problem_type"] == "regression":
            return [Answer(labels=("value",), scores=(float(value),)) for (value,) in outputs]
        found = []
        for shares_C in outputs:
            best = np.argsort(-shares_C, kind="stable")[:BEST]
            labels = tuple(facts["labels"][i] for i in best)
            found.append(Answer(labels=labels, scores=tuple(float(shares_C[i]) for i in best)))
        return found

    def worth(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> list[float]:
        values_BC, truth = np.stack(outputs), np.stack(targets)
        if facts["problem_type"] == "regression":
            found = -np.abs(values_BC[:, 0] - truth)
        elif facts["problem_type"] == "multi_label_classification":
            found = np.where(truth, values_BC, 1 - values_BC).mean(axis=1)
        else:
            found = values_BC[np.arange(len(truth)), truth]
        return [float(value) for value in found]

    def say(self, row: LabelRow) -> str:
        return ", ".join(self.labels_of(row)) or str(row.value)

    def table(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> dict[str, Any]:
        classes: list[str] = facts["labels"]
        if facts["problem_type"] != "single_label_classification" or len(classes) > MOST_SHOWN:
            return {}
        counts_CC = metrics.confusion(np.stack(outputs), np.stack(targets))
        title = "Confusion matrix: rows are the truth, columns the answers"
        return {"title": title, "labels": classes, "rows": list(zip(classes, counts_CC.tolist(), strict=True))}

    def constant(self, targets: Sequence[Any], facts: Mapping[str, Any], count: int) -> list[Any]:
        """How common each class is among the training rows, or the mean of their values."""
        truth = np.stack(targets)
        if facts["problem_type"] == "regression":
            row = np.array([truth.mean()])
        elif facts["problem_type"] == "multi_label_classification":
            row = truth.mean(axis=0)
        else:
            row = np.bincount(truth, minlength=len(facts["labels"])) / len(truth)
        return [row] * count

    def probe(
        self,
        features: Mapping[str, NDArray[np.float32]],
        targets: Mapping[str, Sequence[Any]],
        facts: Mapping[str, Any],
        config: FinetuneConfig,
    ) -> list[Any]:
        truth = {split: np.stack(rows) for split, rows in targets.items()}
        return fit_probe(features, truth, problem_type=facts["problem_type"], classes=len(facts["labels"]))


def _regression(values_B: NDArray[np.float64]) -> dict[str, Any]:
    if values_B.std() == 0:
        raise InputError(f"every training row has the value {values_B[0]}; give at least two different ones")
    unit = [float(values_B.mean()), float(values_B.std())]
    return {"problem_type": "regression", "labels": ["value"], "unit": unit, "class_weights": []}


def _weights(problem: ProblemType, counts: Sequence[int], rows: int, config: FinetuneConfig) -> list[float]:
    """One for each class, empty for equal ones: rows a class would have if all were as common, over those it has."""
    if config.class_weights == "none":
        return []
    if problem == "multi_label_classification":  # the weight of yes against no
        return [(rows - count) / count if count < rows else 1.0 for count in counts]
    return [sum(counts) / (len(counts) * count) for count in counts]
