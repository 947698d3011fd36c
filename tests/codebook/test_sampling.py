"""The sample of clips: uniform, bounded, and blind to shards."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.codebook.sampling import ClipSample, priorities
from pipeline.errors import InputError

VIDEOS = [f"video-{n // 10:03d}" for n in range(1000)]
CLIPS = np.arange(1000) % 10
VECTORS = np.arange(3000, dtype=np.float32).reshape(1000, 3)


def sample(limit: int, *shards: slice, seed: int = 0) -> ClipSample:
    taken = ClipSample(limit, seed=seed)
    for rows in shards:
        taken.add(VECTORS[rows], VIDEOS[rows], CLIPS[rows])
    return taken


def test_sample_does_not_depend_on_shards_or_their_order() -> None:
    whole = sample(100, slice(None))
    apart = sample(100, slice(700, None), slice(0, 3), slice(3, 700))
    merged = sample(100, slice(500, None))
    merged.update(sample(100, slice(0, 500)))
    for other in (apart, merged):
        np.testing.assert_array_equal(other.vectors(), whole.vectors())
        assert other.clips() == whole.clips()


def test_rows_stay_with_their_clips_and_the_limit_holds() -> None:
    taken = sample(100, slice(None))
    assert len(taken.clips()) == 100 == len(set(taken.clips()))
    for (video, clip), vector in zip(taken.clips(), taken.vectors(), strict=True):
        assert vector[0] == 3 * (int(video[-3:]) * 10 + clip)
    assert len(sample(0, slice(None)).vectors()) == 1000
    assert sample(5, slice(None)).clips() == taken.clips()[:5]


def test_sample_is_uniform_and_depends_on_the_seed() -> None:
    hits = np.zeros(1000)
    for seed in range(200):
        hits[np.argsort(priorities(VIDEOS, CLIPS, seed=seed))[:100]] += 1
    assert abs(hits.mean() - 20) < 1e-9
    assert 0.8 < hits.var() / (200 * 0.1 * 0.9) < 1.2
    assert sample(100, slice(None)).clips() != sample(100, slice(None), seed=1).clips()


def test_what_does_not_fit_is_refused() -> None:
    taken = sample(10, slice(0, 5))
    with pytest.raises(InputError, match="dimensions"):
        taken.add(np.zeros((1, 4), np.float32), ["v"], np.zeros(1, np.int64))
    with pytest.raises(InputError, match="limit, seed"):
        taken.update(ClipSample(11, seed=0))
    with pytest.raises(InputError, match="no clips"):
        ClipSample(3, seed=0).vectors()
    with pytest.raises(InputError, match="clips"):
        taken.add(np.zeros((2, 3), np.float32), ["v"], np.zeros(1, np.int64))
