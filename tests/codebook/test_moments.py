"""The moment of a sentence is found where it was planted, and nowhere where none is."""

import numpy as np
import pytest
from numpy.typing import NDArray

from videobert.codebook.moments import Moment, Narration, find_moment

WORDS = ("stir", "chop", "pour", "fry", "peel", "wash")
CLIP = 1.5


def narrations(*, point: float, shift: float, videos: int = 8, seed: int = 0, clips: int = 150) -> list[Narration]:
    """Events shown in single clips, each told by a cue of random length in whose time it lies at `point`, `shift`."""
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(len(WORDS), 16))
    found = []
    for number in range(videos):
        rows = rng.normal(size=(clips, 16))
        starts: NDArray[np.float64] = np.arange(clips, dtype=np.float64) * CLIP
        cues = []
        for clip in range(3, clips - 3, 2):
            verb = int(rng.integers(len(WORDS)))
            rows[clip] += looks[verb]
            shown, length = starts[clip] + rng.uniform(0, CLIP), rng.uniform(0.2, 4.0)
            start = shown - shift - point * length
            cues.append({"start_seconds": start, "end_seconds": start + length, "text": f"Now {WORDS[verb]} it"})
        found.append(
            Narration(
                video_id=f"v{number}",
                rows_NK=rows,
                starts_N=starts,
                ends_N=np.add(starts, CLIP, dtype=np.float64),
                cues=cues,
            )
        )
    return found


@pytest.mark.parametrize(("point", "shift"), [(1.0, -1.0), (0.0, 0.5), (0.5, 0.0), (1.0, 2.0)])
def test_the_planted_moment_is_found(point: float, shift: float) -> None:
    moment = find_moment(narrations(point=point, shift=shift))
    assert moment.point == point
    assert moment.shift_seconds == pytest.approx(shift, abs=0.25)
    assert moment.explained >= moment.explained_in_the_middle


def test_the_order_of_videos_does_not_matter() -> None:
    videos = narrations(point=1.0, shift=-1.0)
    assert find_moment(videos[::-1]) == find_moment(videos)


def test_words_that_nothing_shows_leave_the_middle() -> None:
    videos = narrations(point=1.0, shift=-1.0)
    rng = np.random.default_rng(1)
    blind = [
        Narration(
            video_id=v.video_id, rows_NK=rng.normal(size=v.rows_NK.shape), starts_N=v.starts_N, ends_N=v.ends_N,
            cues=v.cues,
        )
        for v in videos
    ]  # fmt: skip
    assert (find_moment(blind).point, find_moment(blind).shift_seconds) == (0.5, 0.0)


@pytest.mark.parametrize("videos", [0, 1, 3, 5])
def test_little_narration_leaves_the_middle(videos: int) -> None:
    few = narrations(point=1.0, shift=-1.0, videos=videos, clips=60)
    assert find_moment(few) == Moment()


@pytest.mark.parametrize("clips", [1, 2])
def test_words_that_a_shift_moves_out_of_short_videos_are_not_explained(clips: int) -> None:
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(len(WORDS), 16))
    videos = []
    for number in range(480):
        shown = [number % len(WORDS), int(rng.integers(len(WORDS)))][:clips]
        starts: NDArray[np.float64] = np.arange(clips, dtype=np.float64) * CLIP
        times = [(start + 0.1, start + 1.2) for start in starts.tolist()]
        cues = [
            {"start_seconds": start, "end_seconds": end, "text": WORDS[verb]}
            for (start, end), verb in zip(times, shown, strict=True)
        ]
        rows = looks[shown] + 0.3 * rng.normal(size=(clips, 16))
        ends = np.add(starts, CLIP, dtype=np.float64)
        videos.append(Narration(video_id=f"v{number}", rows_NK=rows, starts_N=starts, ends_N=ends, cues=cues))
    moment = find_moment(videos)
    assert 0 <= moment.of(0.1, 1.2) < CLIP
    assert 0.5 < moment.explained_in_the_middle <= moment.explained < 1


def test_a_moment_is_a_time_of_the_video() -> None:
    assert Moment().of(2.0, 4.0) == 3.0
    assert Moment(point=1.0, shift_seconds=-0.5).of(2.0, 4.0) == 3.5
    assert Moment(**Moment(point=1.0, explained=0.5).to_json()) == Moment(point=1.0, explained=0.5)
