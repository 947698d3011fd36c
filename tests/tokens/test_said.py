"""What is said over some clips: by how near they are to the moment, versus a loop over all sentences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from videobert.tokens.records import Segment
from videobert.tokens.said import Said


def _said(first: int, last: int, number: int, at: float | None) -> Segment:
    return Segment(
        start_seconds=0, end_seconds=1, first_clip=first, last_clip=last, text="x", text_ids=(number,), said_at=at
    )


def test_a_sentence_is_said_over_clips_by_how_close_its_middle_is() -> None:
    said = Said((_said(3, 4, 1, 3.2), _said(3, 4, 2, 3.5), _said(0, 8, 3, 4.0)))
    assert said.near(3, 4) == {(1,): pytest.approx(0.7), (2,): 1.0, (3,): pytest.approx(0.875)}
    assert said.near(2, 3) == {(1,): pytest.approx(0.3), (3,): pytest.approx(0.625)}
    assert said.near(8, 9) == {}
    assert said.near(2, 6)[(1,)] == pytest.approx(0.7)  # the clip that is nearest


def test_where_no_middle_is_kept_sharing_a_clip_decides() -> None:
    said = Said((_said(3, 5, 1, None), Segment(start_seconds=0, end_seconds=9, first_clip=0, last_clip=9)))
    assert said.near(4, 9) == {(1,): 1.0}
    assert said.near(5, 9) == {}


def test_a_video_without_a_sentence_says_nothing() -> None:
    assert Said((Segment(start_seconds=0, end_seconds=9, first_clip=0, last_clip=9),)).near(0, 9) == {}
    assert Said(()).near(0, 1) == {}


def _one_by_one(segments: list[Segment], first: int, last: int) -> dict[tuple[int, ...], float]:
    found: dict[tuple[int, ...], float] = {}
    for segment in segments:
        if segment.said_at is None:
            near = float(segment.first_clip < last and first < segment.last_clip)
        else:
            nearest = min(max(segment.said_at - 0.5, first), last - 1)
            away = min(abs(segment.said_at - 0.5 - clip) for clip in (math.floor(nearest), math.ceil(nearest)))
            near = 1 - away / max(1.0, (segment.last_clip - segment.first_clip) / 2)
        if segment.text_ids and near > found.get(segment.text_ids, 0.0):
            found[segment.text_ids] = near
    return found


def test_it_is_to_the_bit_what_one_sentence_after_the_other_gives() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        segments = []
        for _ in range(int(rng.integers(0, 12))):
            first = int(rng.integers(0, 10))
            last = first + int(rng.integers(1, 6))
            at = None if rng.random() < 0.2 else float(rng.uniform(-1, 16))
            segments.append(_said(first, last, int(rng.integers(0, 4)), at))
        begin = int(rng.integers(0, 12))
        end = begin + int(rng.integers(1, 5))
        found, expected = Said(segments).near(begin, end), _one_by_one(segments, begin, end)
        assert list(found.items()) == list(expected.items())
