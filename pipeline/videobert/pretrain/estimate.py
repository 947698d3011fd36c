"""How long training will take: the recipe's steps, and seconds per step over segments that are made up for it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from videobert.model.network import VideoBert
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.config import PretrainConfig, Validation
from videobert.pretrain.data import PretrainData
from videobert.pretrain.train import train
from videobert.tokens.records import Segment, TokenizedVideo

__all__ = ["TrainingTime", "estimate_training", "likely_segments"]

_TIMED_STEPS = 4
_MOST_SEGMENTS = 2_000
_SEGMENTS_PER_VIDEO = 20
_CLIPS, _WORDS = 2, 8
"""Of a segment."""
_SPECIAL = 5
_BYTES_PER_CUE = 70
"""Of a caption file: two times and a short sentence."""
_PASSES = 100.0
"""Over which the steps of one are averaged, since a part of a step counts as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTime:
    """Of a whole run, unless it stops early."""

    steps: int
    seconds_per_step: float

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return self.steps * self.seconds_per_step


def likely_segments(*, videos: int, captioned: int, clips: int, caption_bytes: int, silent_clips: int) -> int:
    """Segments of so many videos, `captioned` of which have caption files of `caption_bytes` together.

    One or more a video, however short; of the others one per `silent_clips` clips.
    """
    said = min(2 * clips, max(captioned, caption_bytes // _BYTES_PER_CUE))
    silent = videos - captioned
    return max(1, said + max(silent, clips * silent // (videos * silent_clips)))


def estimate_training(
    config: PretrainConfig, *, segments: int, leaves: int, pieces: int, components: int = 0
) -> TrainingTime:
    """Train a few steps from scratch on segments of 2 clips and 8 words, on `config.device`; nothing is kept.

    `leaves` and `pieces` are the sizes of the two vocabularies, `components` the width of what tokens carry besides.
    """
    vocabulary = Vocabulary(text_size=_SPECIAL + pieces, leaves=leaves, pad=0, unk=1, cls=2, sep=3, mask=4)
    shown = min(segments, _MOST_SEGMENTS)
    videos = _videos(shown, vocabulary, components)
    config = config.sized(segments)
    model = VideoBert.create(config, vocabulary=vocabulary, components=components)
    data = PretrainData(videos, vocabulary=vocabulary, config=config, max_length=model.max_length)
    passes = data.steps_of(_PASSES) / _PASSES * segments / shown
    ends: list[float] = []
    few = replace(config, steps=1 + _TIMED_STEPS, log_every_steps=1, checkpoint_every_steps=0, validation=Validation())
    train(model, videos, few, on_step=lambda _: ends.append(time.perf_counter()))
    return TrainingTime(
        steps=config.run_steps(lambda epochs: max(1, math.ceil(epochs * passes))),
        seconds_per_step=float(np.median(np.diff(ends))),
    )


def _videos(segments: int, vocabulary: Vocabulary, components: int) -> list[TokenizedVideo]:
    rng = np.random.default_rng(0)
    videos = []
    for first in range(0, segments, _SEGMENTS_PER_VIDEO):
        count = min(_SEGMENTS_PER_VIDEO, segments - first)
        words = rng.integers(_SPECIAL, vocabulary.text_size, (count, _WORDS)).tolist()
        videos.append(
            TokenizedVideo(
                video_id=f"{first:064x}",
                visual=rng.integers(vocabulary.leaves, size=_CLIPS * count).astype(np.int32),
                segments=tuple(
                    Segment(
                        start_seconds=1.5 * _CLIPS * n, end_seconds=1.5 * _CLIPS * (n + 1), first_clip=_CLIPS * n,
                        last_clip=_CLIPS * (n + 1), text=str(n), text_ids=tuple(words[n]),
                    )
                    for n in range(count)
                ),
                residuals=rng.standard_normal((_CLIPS * count, components)).astype(np.float16) if components else None,
            )
        )  # fmt: skip
    return videos
