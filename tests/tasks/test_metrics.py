"""Metrics equal scikit-learn's, and intervals are over videos."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, r2_score

from videobert.model.ranking import average_precisions
from videobert.tasks import metrics

RNG = np.random.default_rng(0)
SHARES_BC = RNG.dirichlet(np.ones(5), size=200).round(2)  # with ties
TRUTH_B = RNG.integers(4, size=200)  # the last class never occurs
OWN_BC = TRUTH_B[:, None] == np.arange(5)


def test_average_precision_and_f1_are_those_of_scikit_learn() -> None:
    wanted = [average_precision_score(OWN_BC[:, c], SHARES_BC[:, c]) for c in range(4)]
    assert average_precisions(SHARES_BC, OWN_BC) == pytest.approx(wanted)
    found = metrics.single_label(SHARES_BC, TRUTH_B)
    assert found["map"] == pytest.approx(np.mean(wanted))
    assert found["macro_f1"] == pytest.approx(f1_score(TRUTH_B, SHARES_BC.argmax(1), average="macro", zero_division=0))
    many_BC = RNG.random((200, 5)) < 0.4
    chances_BC = RNG.random((200, 5))
    several = metrics.multi_label(chances_BC, many_BC)
    assert several["map"] == pytest.approx(average_precision_score(many_BC, chances_BC, average="macro"))
    assert several["macro_f1"] == pytest.approx(f1_score(many_BC, chances_BC >= 0.5, average="macro"))
    values_B = RNG.random(50)
    told = metrics.regression(values_B, values_B**2)
    assert told["r2"] == pytest.approx(r2_score(values_B**2, values_B))
    assert told["pearson"] == pytest.approx(np.corrcoef(values_B, values_B**2)[0, 1])


def test_calibration_error_of_known_cases() -> None:
    right_B = np.arange(100) < 70
    assert metrics.calibration_error(np.full(100, 0.7), right_B) == pytest.approx(0.0)
    assert metrics.calibration_error(np.full(100, 1.0), right_B) == pytest.approx(0.3)


def test_confusion_has_the_truth_in_rows() -> None:
    shares_BC = np.eye(3)[[0, 1, 1, 2]]
    assert metrics.confusion(shares_BC, np.array([0, 1, 2, 2])).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_an_interval_is_over_videos_not_segments() -> None:
    """Ten videos whose segments agree: their number decides, not that of the segments."""
    right = np.repeat(np.arange(10) < 5, 100)

    def measure(chosen: object) -> dict[str, float]:
        return {"share": float(right[np.asarray(chosen)].mean())}

    groups = [str(i) for i in np.repeat(np.arange(10), 100)]
    low, high = metrics.bootstrap(measure, groups, draws=400, seed=0)["share"]
    assert low < 0.3 and high > 0.7
    assert metrics.bootstrap(measure, groups, draws=400, seed=0)["share"] == (low, high)
    assert metrics.bootstrap(measure, ["one"] * 1000, draws=400, seed=0) == {}
