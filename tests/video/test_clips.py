from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.video.videos import frame_of_each_tick
from videobert.video.clips import (
    END_TOLERANCE,
    TickClock,
    clip_count,
    overlaps,
    spread_ticks,
    ticks_before,
)

RATE, LENGTH = Fraction(20), Fraction(3, 2)

gaps = st.lists(st.integers(1, 60_000), min_size=1, max_size=60)
starts = st.integers(0, 200_000)


def brute_force(times: list[Fraction], end: Fraction) -> list[list[int]]:
    """Tick by tick, frame by frame, straight from the definition."""
    clips: list[list[int]] = []
    while (len(clips) + 1) * LENGTH <= end + END_TOLERANCE:
        ticks = [len(clips) * LENGTH + k / RATE for k in range(30)]
        clips.append([max((i for i, time in enumerate(times) if time <= tick), default=0) for tick in ticks])
    return clips


@given(start=starts, gaps=gaps, last=st.integers(1, 300_000))
def test_each_tick_shows_the_latest_frame(start: int, gaps: list[int], last: int) -> None:
    times = [Fraction(pts, 90_000) for pts in accumulate(gaps, initial=start)]
    end = times[-1] + Fraction(last, 90_000)
    shown = frame_of_each_tick(times, end, rate=RATE, clip_length=LENGTH)
    assert shown.tolist() == brute_force(times, end)


@given(numerators=st.lists(st.integers(0, 500_000), min_size=1, max_size=40).map(sorted))
def test_the_clock_hands_out_every_tick_once_and_in_order(numerators: list[int]) -> None:
    clock = TickClock(RATE)
    handed = [tick for n in numerators for tick in clock.until(Fraction(n, 90_000))]
    assert handed == list(range(ticks_before(Fraction(numerators[-1], 90_000), RATE)))


@pytest.mark.parametrize("fps", [Fraction(15), Fraction(24), Fraction(25), Fraction(30_000, 1001), Fraction(60)])
def test_constant_rates_pick_the_frame_on_screen(fps: Fraction) -> None:
    times = [i / fps for i in range(int(4 * fps) + 1)]
    shown = frame_of_each_tick(times, times[-1] + 1 / fps, rate=RATE, clip_length=LENGTH)
    assert shown.shape == (2, 30)
    assert shown.ravel().tolist() == [int(k * fps / 20) for k in range(60)]


def test_a_tick_on_a_frame_shows_that_frame() -> None:
    assert frame_of_each_tick([Fraction(0), Fraction(1, 20)], LENGTH, rate=RATE, clip_length=LENGTH)[
        0, :3
    ].tolist() == [0, 1, 1]


def test_clips_are_whole() -> None:
    assert [clip_count(Fraction(ms, 1000), LENGTH) for ms in (0, 1497, 1498, 1500, 2999, 4500)] == [0, 0, 1, 1, 2, 3]


@given(frames=st.integers(1, 64), ticks=st.integers(2, 60))
def test_spread_ticks_are_in_order_inside_and_symmetric_in_the_mean(frames: int, ticks: int) -> None:
    spread = spread_ticks(frames, ticks)
    assert len(spread) == frames and list(spread) == sorted(spread) and spread[0] >= 0 and spread[-1] < ticks
    assert abs(np.mean(spread) - (ticks - 1) / 2) <= 0.5


def test_spread_ticks_of_all_ticks_is_all_ticks() -> None:
    assert spread_ticks(30, 30) == tuple(range(30))


def test_ranges_that_only_touch_do_not_overlap() -> None:
    ranges = [(Fraction(1), Fraction(2))]
    assert not overlaps(Fraction(0), Fraction(1), ranges) and not overlaps(Fraction(2), Fraction(3), ranges)
    assert overlaps(Fraction(1, 2), Fraction(3, 2), ranges) and overlaps(Fraction(0), Fraction(3), ranges)
