"""Which text meets which video: spans of neighbouring segments, and misaligned spans (section 3.3 of the paper).

A span is a run of segments of one video. A pair is aligned exactly when the text and the video come from the same
span; the video of a misaligned pair shares no segment and no clip with the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from videobert.model.vocabulary import Vocabulary
from videobert.tokens.footage import Footage, take
from videobert.tokens.records import TokenizedVideo
from videobert.tokens.said import Said

__all__ = ["SegmentIndex", "Span", "subsample"]

CANDIDATES = 8
"""Misaligned spans looked at in one draw."""

DRAWS = 8
"""Draws from other videos until one is long enough."""


class Span(NamedTuple):
    """Segments first .. last-1 of one video."""

    video: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class _Text:
    """One captioned segment and the run of captioned segments around it."""

    video: int
    segment: int
    run_first: int
    run_last: int


class SegmentIndex:
    """Random access to the segments of a corpus, those with text and those without."""

    def __init__(self, videos: Sequence[TokenizedVideo], vocabulary: Vocabulary) -> None:
        self._videos = videos
        self._said: dict[int, Said] = {}
        for video in videos:
            vocabulary.visual_ids(video.visual)  # refuses foreign leaves now; kept as they are, in half of the room
        self._texts: list[_Text] = []
        self._text_range: list[tuple[int, int]] = []
        self.untexted: list[Span] = []
        """Segments without text."""
        for number, video in enumerate(videos):
            begin = len(self._texts)
            has_text = [bool(segment.text_ids) for segment in video.segments]
            self.untexted.extend(Span(number, i, i + 1) for i, text in enumerate(has_text) if not text)
            for first, last in _runs(has_text):
                self._texts.extend(_Text(number, i, first, last) for i in range(first, last))
            self._text_range.append((begin, len(self._texts)))

    @property
    def captioned(self) -> int:
        """Number of segments with text."""
        return len(self._texts)

    def segment(self, anchor: int) -> Span:
        """The captioned segment `anchor` alone."""
        text = self._texts[anchor]
        return Span(text.video, text.segment, text.segment + 1)

    def around(self, anchor: int, *, extra: int, rng: np.random.Generator) -> Span:
        """`anchor` with up to `extra` captioned neighbours, on sides drawn at random, within its video."""
        text = self._texts[anchor]
        size = min(extra + 1, text.run_last - text.run_first)
        lowest = max(text.run_first, text.segment + 1 - size)
        highest = min(text.segment, text.run_last - size)
        first = int(rng.integers(lowest, highest + 1))
        return Span(text.video, first, first + size)

    def misaligned(
        self, span: Span, *, negatives: Literal["same", "other", "mixed"], rng: np.random.Generator
    ) -> Span | None:
        """A captioned span without a segment of `span`, or None where the corpus has no other.

        It has as many clips as `span` or more where possible, so that the caller can cut it to the same length:
        otherwise lengths would give the label away. A kind that cannot be had gives way to the other.
        """
        same = negatives == "same" or (negatives == "mixed" and rng.random() < 0.5)
        finders = (self._same_video, self._other_video) if same else (self._other_video, self._same_video)
        wanted, longest = self.clips(span), None
        for find in finders:
            for candidates in find(span, rng):
                enough = [candidate for candidate in candidates if self.clips(candidate) >= wanted]
                if enough:
                    return enough[0]
                longest = longest or max(candidates, key=self.clips)
            if longest and negatives != "mixed":
                break
        return longest

    def _same_video(self, span: Span, rng: np.random.Generator) -> Iterator[list[Span]]:
        begin, end = self._text_range[span.video]
        for size in range(span.last - span.first, 0, -1):
            found = [
                Span(span.video, text.segment, text.segment + size)
                for text in self._texts[begin:end]
                if text.segment + size <= text.run_last
                and self._apart(span, Span(span.video, text.segment, text.segment + size))
            ]
            if found:
                yield [found[i] for i in rng.permutation(len(found))[:CANDIDATES]]

    def _other_video(self, span: Span, rng: np.random.Generator) -> Iterator[list[Span]]:
        begin, end = self._text_range[span.video]
        others = len(self._texts) - (end - begin)
        extra = span.last - span.first - 1
        for _ in range(DRAWS if others else 0):
            drawn = rng.integers(others, size=CANDIDATES)
            yield [self.around(int(i) if i < begin else int(i) + end - begin, extra=extra, rng=rng) for i in drawn]

    def _apart(self, span: Span, other: Span) -> bool:
        """Whether two spans of one video share no clip; two short sentences can stand over the same one."""
        segments = self._videos[span.video].segments
        ours, theirs = segments[span.first : span.last], segments[other.first : other.last]
        return not any(a.first_clip < b.last_clip and b.first_clip < a.last_clip for a in ours for b in theirs)

    def clips(self, span: Span) -> int:
        """Visual tokens of a span."""
        segments = self._videos[span.video].segments[span.first : span.last]
        return sum(segment.last_clip - segment.first_clip for segment in segments)

    def text_ids(self, span: Span) -> NDArray[np.int64]:
        """WordPiece ids of the span's sentences, one after the other, shape [N]."""
        segments = self._videos[span.video].segments[span.first : span.last]
        return np.fromiter((i for segment in segments for i in segment.text_ids), dtype=np.int64)

    def clip_numbers(self, span: Span) -> NDArray[np.int64]:
        """Numbers of the span's clips within its video, clips between segments left out, shape [N]."""
        segments = self._videos[span.video].segments[span.first : span.last]
        return np.concatenate([np.arange(s.first_clip, s.last_clip) for s in segments])

    def footage(self, span: Span, clips_N: NDArray[np.int64], *, around: int = 0) -> Footage:
        """Some clips of the span's video, and up to `around` clips on either side of them."""
        video = self._videos[span.video]
        return take(video.visual, video.residuals, clips_N, around=around)

    def sentences_near(self, span: Span) -> dict[tuple[int, ...], float]:
        """`Said.near` of a single segment's clips."""
        video = self._videos[span.video]
        segment = video.segments[span.first]
        if span.video not in self._said:
            self._said[span.video] = Said(video.segments)
        return self._said[span.video].near(segment.first_clip, segment.last_clip)


def subsample(clips_N: NDArray[np.int64], *, rates: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.int64]:
    """Every r-th clip from a random start, r drawn from `rates`; at least one stays."""
    rate = min(rates[int(rng.integers(len(rates)))], len(clips_N)) if len(rates) > 1 else min(rates[0], len(clips_N))
    return clips_N[int(rng.integers(rate)) :: rate] if rate > 1 else clips_N


def _runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Maximal runs of True as (first, one past last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, dtype=np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
