"""The descent: what is gathered and scored together decides nothing."""

from __future__ import annotations

import numpy as np
import pytest

from videobert.codebook import compiled, encode
from videobert.codebook.config import CodebookConfig
from videobert.codebook.hierarchy import fit


def test_pieces_and_blocks_of_any_size_give_the_nearest_child_of_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    vectors = (rng.normal(size=(700, 6)) + 50).astype(np.float32)
    codebook = fit(vectors, CodebookConfig(branching=3, depth=3, device="cpu"))
    # Rows half way between two siblings: only float64 tells where those belong.
    pairs = [(low + a, low + b) for low in range(0, 27, 3) for a, b in ((0, 1), (0, 2), (1, 2))]
    middles = [(c[a] + c[b]) / 2 for c in codebook.level_centroids for a, b in pairs if b < len(c)]
    rows = np.concatenate((vectors[::7], np.stack(middles), vectors[:50], vectors[:50]))
    node = np.zeros(len(rows), dtype=np.int64)
    for centroids, counts in zip(codebook.level_centroids, codebook.level_counts, strict=True):
        children = node[:, None] * 3 + np.arange(3)
        far = ((rows[:, None].astype(np.float64) - centroids[children]) ** 2).sum(-1)
        node = children[np.arange(len(rows)), np.where(counts[children] > 0, far, np.inf).argmin(1)]
    for pieces, blocks in ((1 << 19, 1 << 18), (6, 1 << 18), (42, 1 << 18), (600, 64), (42, 1)):
        monkeypatch.setattr(compiled, "_PIECE_ELEMENTS", pieces)
        monkeypatch.setattr(encode, "_GREEDY_ROWS", blocks)
        np.testing.assert_array_equal(codebook.encode(rows), node)
