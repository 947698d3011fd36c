"""Is a codebook any good? Figures on its training rows, on a token stream, and against known labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videobert.codebook.core import Codebook
from videobert.errors import InputError

__all__ = ["CodebookHealth", "TokenHealth", "codebook_health", "nmi", "purity", "token_health"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHealth:
    """How evenly a token stream uses the leaves."""

    tokens: int
    """Tokens counted."""
    used_leaves: int
    """Leaves with at least one token."""
    dead_code_rate: float
    """Share of all leaf ids without a token."""
    entropy_bits: float
    """Entropy of the tokens."""
    perplexity: float
    """2 ** entropy: the number of equally used leaves that would have it."""
    largest_leaf: int
    """Leaf with most tokens; the lowest id of equals."""
    largest_share: float
    """Its share of the tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodebookHealth:
    """A codebook on the rows it was fitted on."""

    leaves: TokenHealth
    """Use of the leaves by the training rows."""
    present_children: tuple[int, ...]
    """Centroids that exist, a level."""
    inertia: tuple[float, ...]
    """Mean squared distance of a row to its centroid, a level."""


def token_health(counts: NDArray[np.int64]) -> TokenHealth:
    """Health of leaf counts int64 [leaves] (of tokens: `np.bincount(tokens, minlength=leaves)`)."""
    total = int(counts.sum())
    if total == 0:
        raise InputError("no tokens to judge; encode some clips first")
    used = counts[counts > 0]
    shares = used / total
    entropy = float(-(shares * np.log2(shares)).sum())
    largest = int(counts.argmax())
    return TokenHealth(
        tokens=total,
        used_leaves=len(used),
        dead_code_rate=1.0 - len(used) / len(counts),
        entropy_bits=max(0.0, entropy),
        perplexity=float(2.0 ** max(0.0, entropy)),
        largest_leaf=largest,
        largest_share=int(counts[largest]) / total,
    )


def codebook_health(codebook: Codebook) -> CodebookHealth:
    """Health of a codebook on its own training rows."""
    rows = int(codebook.level_counts[0].sum())
    return CodebookHealth(
        leaves=token_health(codebook.level_counts[-1]),
        present_children=tuple(int((counts > 0).sum()) for counts in codebook.level_counts),
        inertia=tuple(float(inertia) / rows for inertia in codebook.level_inertia),
    )


def nmi(tokens: NDArray[np.int32], labels: NDArray[np.int64]) -> float:
    """Normalised mutual information in [0, 1] of tokens and labels, both [N]; 2 I / (H(tokens) + H(labels)).

    It is biased upwards when leaves hold few rows each: compare it with that of shuffled labels.
    """
    joint, rows, columns = _contingency(tokens, labels)
    total = joint.sum()
    information = _entropy(rows) + _entropy(columns) - _entropy(joint)
    normaliser = _entropy(rows) + _entropy(columns)
    return float(np.clip(2.0 * information / normaliser, 0.0, 1.0)) if normaliser > 0 and total else 1.0


def purity(tokens: NDArray[np.int32], labels: NDArray[np.int64]) -> float:
    """Share of rows whose label is the commonest of their token; 1 when every leaf holds one label only."""
    joint, rows, _ = _contingency(tokens, labels)
    leaf = np.unique(np.asarray(tokens), return_inverse=True)[1]
    pair_leaf = _pairs(tokens, labels)[1]
    best = np.zeros(len(rows), dtype=np.int64)
    np.maximum.at(best, pair_leaf, joint)
    return float(best.sum() / len(leaf))


def _pairs(
    tokens: NDArray[np.int32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Counts of the (token, label) pairs that occur, with the index of the token and of the label of each."""
    if len(tokens) != len(labels) or len(tokens) == 0:
        raise InputError(f"{len(tokens)} tokens for {len(labels)} labels; give one label a token, and at least one")
    rows = np.unique(np.asarray(tokens), return_inverse=True)[1]
    names, columns = np.unique(np.asarray(labels), return_inverse=True)
    pairs, counts = np.unique(rows.astype(np.int64) * len(names) + columns, return_counts=True)
    return counts.astype(np.int64), pairs // len(names), pairs % len(names)


def _contingency(
    tokens: NDArray[np.int32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    counts, rows, columns = _pairs(tokens, labels)
    by_row = np.bincount(rows, weights=counts).astype(np.int64)
    return counts, by_row, np.bincount(columns, weights=counts).astype(np.int64)


def _entropy(counts: NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
