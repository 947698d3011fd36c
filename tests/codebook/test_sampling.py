"""The sample of clips: uniform, bounded, and blind to shards."""

from __future__ import annotations

import numpy as np
import pytest

from videobert.codebook import sampling
from videobert.codebook.sampling import ClipSample, priorities
from videobert.errors import InputError

VIDEOS = [f"video-{n // 10:03d}" for n in range(1000)]
CLIPS = np.arange(1000) % 10


def sample(limit: int, *files: slice, seed: int = 0) -> list[int]:
    """Which of the thousand clips are in the sample, in its order; every slice of them is a file."""
    taken = ClipSample(limit, seed=seed)
    for rows in files:
        taken.add(np.arange(rows.stop - rows.start), VIDEOS[rows], CLIPS[rows])
    chosen = taken.chosen()
    assert len(chosen) == len(files) and all((np.diff(rows) > 0).all() for rows, _ in chosen)
    clips = np.concatenate([rows + file.start for file, (rows, _) in zip(files, chosen, strict=True)])
    places = np.concatenate([places for _, places in chosen])
    assert sorted(places) == list(range(len(places)))
    return [int(clip) for clip in clips[np.argsort(places)]]


WHOLE = slice(0, 1000)


def test_sample_does_not_depend_on_files_or_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (100, 0):
        whole = sample(limit, WHOLE)
        assert sample(limit, slice(700, 1000), slice(0, 3), slice(3, 3), slice(3, 700)) == whole
        monkeypatch.setattr(sampling, "_OFFERS_AT_ONCE", 50)
        assert sample(limit, slice(500, 1000), *(slice(at, at + 20) for at in range(0, 500, 20))) == whole


def test_the_limit_holds_and_a_smaller_sample_is_the_beginning_of_a_larger_one() -> None:
    taken = sample(100, WHOLE)
    assert len(taken) == 100 == len(set(taken))
    assert sorted(sample(0, WHOLE)) == list(range(1000)) and sample(2000, WHOLE) == sample(0, WHOLE)
    assert sample(5, WHOLE) == taken[:5]


def test_sample_is_uniform_and_depends_on_the_seed() -> None:
    hits = np.zeros(1000)
    for seed in range(200):
        hits[np.argsort(priorities(VIDEOS, CLIPS, seed=seed))[:100]] += 1
    assert abs(hits.mean() - 20) < 1e-9
    assert 0.8 < hits.var() / (200 * 0.1 * 0.9) < 1.2
    assert sample(100, WHOLE) != sample(100, WHOLE, seed=1)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="clips"):
        ClipSample(10, seed=0).add(np.arange(2), ["v"], np.zeros(2, np.int64))
    with pytest.raises(InputError, match="limit"):
        ClipSample(-1, seed=0)


def test_no_files_are_no_clips() -> None:
    assert ClipSample(3, seed=0).chosen() == []
