"""Which shards make a window: pure arithmetic over counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videobert.pretrain.windows import plan_windows


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 200), st.integers(0, 5))
def test_every_shard_lies_in_one_window_and_windows_keep_to_their_size(sizes: list[int], most: int, seed: int) -> None:
    windows = plan_windows(sizes, window_segments=most, seed=seed)
    assert sorted(shard for window in windows for shard in window) == list(range(len(sizes)))
    assert all(sum(sizes[shard] for shard in window) <= most + max(sizes) for window in windows)
    assert windows == plan_windows(sizes, window_segments=most, seed=seed)
    if sum(sizes) <= most:
        assert windows == [list(range(len(sizes)))]


@pytest.mark.parametrize("seed", [0, 1])
def test_windows_are_of_one_size_and_take_from_the_whole_corpus(seed: int) -> None:
    sizes = np.random.default_rng(seed).integers(50, 150, size=400).tolist()
    windows = plan_windows(sizes, window_segments=sum(sizes) // 4 + 1, seed=seed)
    assert len(windows) == 4
    held = [sum(sizes[shard] for shard in window) for window in windows]
    assert max(held) - min(held) < 2 * max(sizes)
    for window in windows:
        assert 150 < np.mean(window) < 250 and window == sorted(window)
    assert windows != plan_windows(sizes, window_segments=sum(sizes) // 4 + 1, seed=seed + 1)
