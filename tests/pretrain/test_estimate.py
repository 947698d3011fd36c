"""The estimated steps are those of a training over so many segments; the time is measured."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.model.material import TINY, random_videos, vocabulary
from videobert.pretrain.data import PretrainData
from videobert.pretrain.estimate import estimate_training, likely_segments
from videobert.pretrain.presets import own

OWN = replace(own(), architecture=TINY, retrieval_dim=16)


@pytest.mark.parametrize("videos", [1, 20, 300])
def test_steps_are_those_of_the_training(videos: int) -> None:
    corpus = random_videos(videos, words=60, leaves=40)
    segments = sum(len(video.segments) for video in corpus)
    data = PretrainData(corpus, vocabulary=vocabulary(60, 40), config=OWN.sized(segments), max_length=TINY.max_length)
    found = estimate_training(OWN, segments=segments, leaves=40, pieces=60)
    assert found.steps == pytest.approx(data.steps, rel=0.01)


def test_a_corpus_that_is_too_large_to_make_up_has_steps_in_proportion() -> None:
    config = replace(OWN, most_steps=0)
    small, large = (estimate_training(config, segments=n, leaves=40, pieces=60) for n in (20_000, 2_000_000))
    assert large.steps == pytest.approx(100 * small.steps, rel=0.001)
    assert estimate_training(OWN, segments=2_000_000, leaves=40, pieces=60).steps == OWN.most_steps


def test_seconds_are_those_of_a_step() -> None:
    since = time.perf_counter()
    found = estimate_training(OWN, segments=400, leaves=40, pieces=60, components=8)
    assert 0 < 5 * found.seconds_per_step < time.perf_counter() - since
    assert found.seconds == found.steps * found.seconds_per_step


@pytest.mark.parametrize(
    ("videos", "captioned", "clips", "caption_bytes", "segments"),
    [
        (1, 0, 1, 0, 1),
        (100, 100, 9_600, 70 * 1_500, 1_500),  # cues of long talks
        (100, 0, 9_600, 0, 600),  # sixteen silent clips each
        (100, 80, 100, 80 * 30, 100),  # a short sentence a clip, and short silent videos
        (100, 50, 200, 70 * 100_000, 450),  # captions of longer versions
    ],
)
def test_every_video_has_a_segment(videos: int, captioned: int, clips: int, caption_bytes: int, segments: int) -> None:
    found = likely_segments(
        videos=videos, captioned=captioned, clips=clips, caption_bytes=caption_bytes, silent_clips=16
    )
    assert found == segments
