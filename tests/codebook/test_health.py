"""Figures of codebook health against their definitions and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from videobert.codebook.config import CodebookConfig
from videobert.codebook.health import codebook_health, nmi, purity, token_health
from videobert.codebook.hierarchy import fit
from videobert.errors import InputError


def test_even_use_has_the_perplexity_of_its_leaves() -> None:
    health = token_health(np.array([5, 5, 0, 5, 5, 0, 0, 0]))
    assert (health.tokens, health.used_leaves, health.dead_code_rate) == (20, 4, 0.5)
    assert health.entropy_bits == pytest.approx(2.0) and health.perplexity == pytest.approx(4.0)
    assert (health.largest_leaf, health.largest_share) == (0, 0.25)


def test_one_leaf_for_all_is_the_worst() -> None:
    health = token_health(np.array([0, 9, 0]))
    assert (health.perplexity, health.largest_leaf, health.largest_share) == (1.0, 1, 1.0)


def test_nmi_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 2000)
    tokens = np.where(rng.random(2000) < 0.6, labels * 3, rng.integers(0, 40, 2000)).astype(np.int32)
    assert nmi(tokens, labels) == pytest.approx(normalized_mutual_info_score(labels, tokens), abs=1e-12)
    assert nmi(labels.astype(np.int32), labels) == pytest.approx(1.0)
    assert nmi(np.zeros(10, np.int32), np.zeros(10, np.int64)) == 1.0


def test_purity_counts_the_commonest_label_of_each_token() -> None:
    tokens = np.array([3, 3, 3, 8, 8], dtype=np.int32)
    assert purity(tokens, np.array([1, 1, 2, 2, 5])) == pytest.approx(3 / 5)
    assert purity(np.arange(5, dtype=np.int32), np.array([1, 1, 2, 2, 5])) == 1.0


def test_codebook_health_counts_children_and_mean_inertia() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    codebook = fit(vectors, CodebookConfig(branching=3, depth=2, device="cpu"))
    health = codebook_health(codebook)
    assert health.present_children == (3, 9)
    assert health.leaves.tokens == 200
    assert health.inertia[0] == pytest.approx(codebook.level_inertia[0] / 200)
    assert health.inertia[1] < health.inertia[0]


def test_nothing_to_judge_is_refused() -> None:
    with pytest.raises(InputError, match="no tokens"):
        token_health(np.zeros(4, dtype=np.int64))
    with pytest.raises(InputError, match="labels"):
        nmi(np.zeros(2, np.int32), np.zeros(3, np.int64))
