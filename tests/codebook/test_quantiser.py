"""In numpy a codebook says what the stage says, to the bit: greedy and flat, where centroids tie, with components."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.codebook.test_run import VECTORS, VIDEOS, inputs
from videobert.applications.export.parts import codebook_part
from videobert.codebook.config import CodebookConfig
from videobert.codebook.core import Codebook
from videobert.codebook.quantiser import Quantiser
from videobert.codebook.run import run
from videobert.errors import InputError
from videobert.runtime.executor import LocalExecutor
from videobert.tokens.config import TokensConfig
from videobert.tokens.worker import TokensWorker

FORMS: dict[str, dict[str, Any]] = {
    "greedy": {"depth": 3}, "flat": {"assignment": "flat"}, "as many as the clips fill": {"depth": 0},
    "components": {"components": 4, "whitening": 0.5, "moments": "found"},
    "flat with components": {"assignment": "flat", "components": 3},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_tokens_and_residuals_are_those_of_the_stage(tmp_path: Path, form: str) -> None:
    found = inputs(tmp_path, VIDEOS[:9], VIDEOS[9:])
    options: dict[str, Any] = {"branching": 3, "depth": 2, "vocabulary_size": 120, "device": "cpu"} | FORMS[form]
    codebook = run(CodebookConfig(**options), found, LocalExecutor())
    part = codebook_part(found.store, codebook)
    features_ND = np.concatenate([*VECTORS.values(), 5 * np.random.default_rng(0).normal(size=(500, 6))])
    features_ND = features_ND.astype(np.float32)
    leaves_N, residuals_NC = Quantiser.from_bytes(part.data).quantise(features_ND)
    expected_N, dropped_NC = TokensWorker(TokensConfig(), found.store, codebook).quantised(features_ND)
    np.testing.assert_array_equal(leaves_N, expected_N)
    assert leaves_N.dtype == np.int32 and len(set(leaves_N.tolist())) > 2
    assert part.facts["components"] == (0 if dropped_NC is None else dropped_NC.shape[1])
    if dropped_NC is None:
        assert residuals_NC is None
    else:
        assert residuals_NC is not None and residuals_NC.dtype == np.float16 and np.abs(dropped_NC).max() > 0.1
        np.testing.assert_array_equal(residuals_NC, dropped_NC)
    assert codebook_part(found.store, codebook).data == part.data


def tied(dimension: int, *, absent: int) -> Codebook:
    """Two levels of three children on a lattice, so that many rows lie as near to one as to another; some absent."""
    rng = np.random.default_rng(0)
    upper, lower = (rng.integers(-1, 2, size=(n, dimension)).astype(np.float32) for n in (3, 9))
    lower[4] = lower[3]  # twins: the first is taken
    counts = np.ones(9, np.int64)
    counts[rng.choice(9, absent, replace=False)] = 0
    lower[counts == 0] = 0
    return Codebook(
        branching=3, seed=0, feature_spec="features-1", level_centroids=(upper, lower),
        level_counts=(np.ones(3, np.int64), counts), level_inertia=np.zeros(2),
    )  # fmt: skip


@pytest.mark.parametrize("dimension", [2, 7, 64])
@pytest.mark.parametrize("absent", [0, 2])
@pytest.mark.parametrize("flat", [False, True])
def test_ties_and_what_is_nearly_one_are_decided_alike(dimension: int, absent: int, flat: bool) -> None:
    codebook, rng = tied(dimension, absent=absent), np.random.default_rng(1)
    pairs = rng.integers(9, size=(400, 2))
    middles = (codebook.centroids[pairs[:, 0]] + codebook.centroids[pairs[:, 1]]) / 2
    nudged = np.nextafter(middles, rng.choice([-9, 9], middles.shape).astype(np.float32))
    rows = np.concatenate([middles, nudged, 1e3 + middles]).astype(np.float32)
    leaves_N, residuals = Quantiser.from_bytes(Quantiser.of(codebook, None, flat=flat).to_bytes()).quantise(rows)
    np.testing.assert_array_equal(leaves_N, codebook.encode_flat(rows) if flat else codebook.encode(rows))
    assert residuals is None
    if flat and not absent:
        distances_NK = ((rows.astype(np.float64)[:, None] - codebook.centroids) ** 2).sum(-1)
        assert (np.diff(np.sort(distances_NK)[:, :2]) == 0).sum() > 5, "no ties: the test would tell nothing"


def test_a_row_does_not_depend_on_the_others() -> None:
    quantiser = Quantiser.of(tied(64, absent=0), np.ones((64, 2), np.float32), flat=False)
    rows = np.random.default_rng(2).normal(size=(20, 64)).astype(np.float32)
    together, alone = quantiser.quantise(rows), [quantiser.quantise(row[None]) for row in rows]
    assert together[1] is not None
    np.testing.assert_array_equal(together[0], [leaf for (leaf,), _ in alone])
    np.testing.assert_array_equal(together[1], np.concatenate([rest for _, rest in alone if rest is not None]))
    for nothing in (rows[:0], np.zeros((0, 0), np.float32)):
        leaves, residuals = quantiser.quantise(nothing)
        assert residuals is not None and (leaves.shape, residuals.shape) == ((0,), (0, 2))


@pytest.mark.parametrize(
    ("features", "told"),
    [
        (np.zeros((2, 5), np.float32), r"features are float32 \(2, 5\), not float32 \[N, 7\]"),
        (np.zeros((2, 7)), "features are float64"),
        (np.full((2, 7), np.nan, np.float32), "the features hold NaN or infinity"),
    ],
)
def test_features_of_another_kind_are_refused(features: NDArray[np.float32], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Quantiser.of(tied(7, absent=0), None, flat=False).quantise(features)
