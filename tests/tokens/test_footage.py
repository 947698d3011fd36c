"""Footage: a span, what surrounds it, and what stays when it does not fit."""

import numpy as np
import pytest

from videobert.tokens.footage import Footage, take
from videobert.tokens.records import TokenizedVideo

LEAVES = np.arange(10, 30, dtype=np.int32)
RESIDUALS = np.arange(60, dtype=np.float16).reshape(20, 3)
VIDEO = TokenizedVideo(video_id="v", visual=LEAVES, segments=(), residuals=RESIDUALS)


def own(footage: Footage) -> list[int]:
    leaves: list[int] = footage.leaves[footage.first : footage.last].tolist()
    return leaves


@pytest.mark.parametrize(
    ("first", "last", "leaves", "lead"),
    [(5, 7, [13, 14, 15, 16, 17, 18], 0), (1, 2, [10, 11, 12, 13], 1), (19, 20, [27, 28, 29], 0)],
)
def test_a_span_brings_its_surroundings_as_far_as_the_video_goes(
    first: int, last: int, leaves: list[int], lead: int
) -> None:
    found = VIDEO.footage(first, last, around=2)
    assert found.leaves.tolist() == leaves
    assert found.lead == lead
    assert own(found) == LEAVES[first:last].tolist()
    assert found.residuals is not None
    assert found.residuals.tolist() == RESIDUALS[found.leaves - 10].tolist()


def test_thinned_out_clips_keep_their_surroundings_and_none_comes_twice() -> None:
    found = take(LEAVES, None, np.array([4, 6, 6, 8]), around=1)
    assert found.leaves.tolist() == [13, 14, 16, 18, 19]
    assert own(found) == [14, 16, 18]


def test_without_surroundings_clips_are_taken_as_they_come() -> None:
    found = take(LEAVES, None, np.array([4, 6, 6]))
    assert found.leaves.tolist() == own(found) == [14, 16, 16]


def test_the_surroundings_give_way_first_then_the_end_of_the_span() -> None:
    found = VIDEO.footage(5, 9, around=2)
    assert found.fitted(8) is found
    assert found.fitted(7).leaves.tolist() == own(found.fitted(4)) == [15, 16, 17, 18]
    assert own(found.fitted(3)) == [15, 16, 17]
    assert found.fitted(4).lead == 2  # the span stays where it stood
    assert found.fitted(4).residuals.tolist() == RESIDUALS[5:9].tolist()  # type: ignore[union-attr]


def test_what_comes_after_a_span_is_not_seen_by_who_is_to_guess_it() -> None:
    found = VIDEO.footage(5, 9, around=2).ending(3)
    assert found.leaves.tolist() == own(found) == [16, 17, 18]
    assert found.lead == 0


def test_residuals_of_other_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="do not belong"):
        TokenizedVideo(video_id="v", visual=LEAVES, segments=(), residuals=RESIDUALS[1:])
