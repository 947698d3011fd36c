"""The cloze: which tokens are predicted, and what the encoder sees in their place (BERT's 15 % and 80/10/10)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videobert.model.vocabulary import Vocabulary

__all__ = ["mask_tokens", "text_replacements"]

KEEP_FROM = 0.9
REPLACE_FROM = 0.8


def text_replacements(vocabulary: Vocabulary) -> NDArray[np.int64]:
    """WordPiece ids that may stand in for a masked word: all but the special tokens."""
    ids = np.arange(vocabulary.text_size, dtype=np.int64)
    return ids[~np.isin(ids, list(vocabulary.specials))]


def mask_tokens(
    ids_N: NDArray[np.int64],
    *,
    probability: float,
    mask_id: int,
    replacements: NDArray[np.int64],
    keep: frozenset[int],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Mask tokens of one modality; returns (what the encoder sees [N], sorted positions that are predicted [M]).

    `replacements` are ids of the same modality, ids in `keep` are never chosen. The number chosen is
    `probability` x candidates, rounded at random so that the share is unbiased, but at least 1 of a non-empty
    sequence (BERT's rule). 80 % become `mask_id`, 10 % a random replacement, 10 % stay.
    """
    candidates = np.arange(len(ids_N)) if not keep else np.flatnonzero([int(i) not in keep for i in ids_N])
    seen_N = ids_N.copy()
    if len(candidates) == 0:
        return seen_N, candidates
    count = max(1, int(len(candidates) * probability + rng.random()))
    chosen_M = np.sort(rng.permutation(candidates)[:count])
    fate_M = rng.random(count)
    seen_N[chosen_M[fate_M < REPLACE_FROM]] = mask_id
    random_M = chosen_M[(fate_M >= REPLACE_FROM) & (fate_M < KEEP_FROM)]
    if len(random_M):
        seen_N[random_M] = replacements[rng.integers(len(replacements), size=len(random_M))]
    return seen_N, chosen_M
