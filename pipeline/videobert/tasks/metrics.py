"""What classifiers and regressions are measured by: plain arithmetic, no model. B examples, C classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from videobert.evaluate.metrics import top_k_hits
from videobert.model.ranking import average_precisions

__all__ = ["bootstrap", "calibration_error", "confusion", "macro_f1", "multi_label", "regression", "single_label"]

BINS = 15
"""Of the calibration error (Guo et al., ICML 2017, arXiv 1706.04599)."""

Probabilities = NDArray[np.floating]


def single_label(shares_BC: Probabilities, truth_B: NDArray[np.int64]) -> dict[str, float]:
    """Of one class for each example, from its probabilities."""
    columns_B1 = truth_B[:, None]
    own_BC = truth_B[:, None] == np.arange(shares_BC.shape[1])
    best_B = shares_BC.argmax(axis=1)
    chosen_BC = best_B[:, None] == np.arange(shares_BC.shape[1])
    return {
        "top1": float(top_k_hits(shares_BC, columns_B1, k=1).mean()),
        "top5": float(top_k_hits(shares_BC, columns_B1, k=5).mean()),
        "macro_f1": macro_f1(chosen_BC, own_BC),
        "map": _mean(average_precisions(shares_BC, own_BC)),
        "ece": calibration_error(shares_BC.max(axis=1), best_B == truth_B),
    }


def multi_label(chances_BC: Probabilities, own_BC: NDArray[np.bool_]) -> dict[str, float]:
    """Of any number of classes for each example; a class counts as answered from one half on."""
    return {
        "map": _mean(average_precisions(chances_BC, own_BC)),
        "macro_f1": macro_f1(chances_BC >= 0.5, own_BC),
        "exact": float(((chances_BC >= 0.5) == own_BC).all(axis=1).mean()),
        "ece": calibration_error(chances_BC.ravel(), own_BC.ravel()),
    }


def regression(values_B: NDArray[np.floating], truth_B: NDArray[np.floating]) -> dict[str, float]:
    """R2 (share of the variance explained), Pearson's correlation, and errors in the unit of the values."""
    errors_B = values_B - truth_B
    spread = float(truth_B.var())
    both = float(values_B.std() * truth_B.std())
    covariance = float(((values_B - values_B.mean()) * (truth_B - truth_B.mean())).mean())
    return {
        "r2": 1 - float((errors_B**2).mean()) / spread if spread > 0 else 0.0,
        "pearson": covariance / both if both > 0 else 0.0,
        "mae": float(np.abs(errors_B).mean()),
        "rmse": float(np.sqrt((errors_B**2).mean())),
    }


def macro_f1(chosen_BC: NDArray[np.bool_], own_BC: NDArray[np.bool_]) -> float:
    """Mean F1 over the classes that occur or are answered."""
    right_C = (chosen_BC & own_BC).sum(axis=0)
    total_C = chosen_BC.sum(axis=0) + own_BC.sum(axis=0)
    return _mean(2 * right_C[total_C > 0] / total_C[total_C > 0])


def calibration_error(confidence_B: NDArray[np.floating], right_B: NDArray[np.bool_]) -> float:
    """Expected calibration error: how far the answers' probabilities are from how often they are right, 0 to 1."""
    bins_B = np.clip((confidence_B * BINS).astype(np.int64), 0, BINS - 1)
    gaps = np.bincount(bins_B, weights=confidence_B - right_B, minlength=BINS)
    return float(np.abs(gaps).sum() / len(bins_B))


def confusion(shares_BC: Probabilities, truth_B: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts [C, C]: rows are the truth, columns the answers."""
    classes = shares_BC.shape[1]
    flat = truth_B * classes + shares_BC.argmax(axis=1)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def bootstrap(
    measure: Callable[[Sequence[int]], dict[str, float]], groups: Sequence[str], *, draws: int, seed: int
) -> dict[str, tuple[float, float]]:
    """95 % intervals of metrics over videos: whole videos are drawn with replacement, not their segments.

    `measure` takes the numbers of examples. Empty for fewer than two videos.
    """
    members: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    videos = [members[name] for name in sorted(members)]
    if len(videos) < 2 or not draws:
        return {}
    rng = np.random.Generator(np.random.Philox(key=seed))
    found: dict[str, list[float]] = {}
    for _ in range(draws):
        chosen = rng.integers(len(videos), size=len(videos))
        for name, value in measure([number for video in chosen for number in videos[video]]).items():
            found.setdefault(name, []).append(value)
    return {name: (_quantile(values, 0.025), _quantile(values, 0.975)) for name, values in found.items()}


def _quantile(values: list[float], share: float) -> float:
    return float(np.quantile(values, share))


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean()) if len(values) else 0.0
