"""Which videos are cut, and when chunks are taken for the video."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videobert.video.chunks import ChunkFacts, fit_together, plan_chunks
from videobert.video.clips import ClipRange
from videobert.video.options import DecodeOptions

CLIP = Fraction(3, 2)
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"


def plan(seconds: float | None, *, chunk: float, container: str = MP4, most: float = 43_200) -> tuple[ClipRange, ...]:
    return plan_chunks(container, seconds, options=DecodeOptions(), chunk_seconds=chunk, max_seconds=most)


@given(seconds=st.floats(1, 40_000), chunk=st.floats(10, 4_000))
def test_chunks_follow_each_other_and_none_is_too_long(seconds: float, chunk: float) -> None:
    chunks = plan(seconds, chunk=chunk)
    assert chunks[0].first == 0 and chunks[-1].last is None
    assert [one.last for one in chunks[:-1]] == [two.first for two in chunks[1:]]
    lengths = [(two.first - one.first) * CLIP for one, two in itertools.pairwise(chunks)]
    assert all(0 < length <= chunk + CLIP for length in lengths)
    assert (len(chunks) == 1) == (seconds <= chunk)


@pytest.mark.parametrize("seconds", [None, 0.0, -5.0, float("nan"), float("inf"), 50_000.0])
def test_lengths_that_no_chunk_can_trust_are_read_in_one_go(seconds: float | None) -> None:
    assert plan(seconds, chunk=60) == (ClipRange(),)


def test_what_cannot_be_cut_is_read_in_one_go() -> None:
    assert plan(600, chunk=60, container="mpegts") == (ClipRange(),)
    assert plan(600, chunk=0.1) == (ClipRange(),)  # less than a clip


def test_chunks_fit_when_both_sides_of_every_seam_saw_the_same() -> None:
    chunks = [
        ChunkFacts(first_pixels=first, next_pixels=after, damaged=(), packets=10)
        for first, after in (("", "x"), ("x", "y"), ("y", ""))
    ]
    assert fit_together(chunks, max_packets=30) and not fit_together(chunks, max_packets=29)
    for place, wrong in ((0, "y"), (0, ""), (1, "x")):
        bad = list(chunks)
        bad[place] = dataclasses.replace(chunks[place], next_pixels=wrong)
        assert not fit_together(bad, max_packets=30)
    blind = [dataclasses.replace(chunk, first_pixels="", next_pixels="") for chunk in chunks]
    assert not fit_together(blind, max_packets=30)
