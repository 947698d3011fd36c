"""A long video in chunks of time, each decoded on its own from the key frame before it, and how they are told to fit.

A chunk decodes one clip more than is its own: the first of the next chunk. Where both saw the same pixels there, what
follows was decoded as if the video had been read in one go; where they did not (streams without true key frames, damage
on the seam, a length that lies), nothing of the chunks is used and the video is read in one go.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from videobert.video.clips import ClipRange, clip_count
from videobert.video.isolated import IsolatedClips
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipFrames

__all__ = ["ChunkClips", "ChunkFacts", "fit_together", "plan_chunks"]

_SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""Containers with an index by which FFmpeg finds the key frame before a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkFacts:
    """What a chunk tells about its reading, along with the vectors of its clips."""

    first_pixels: str
    """Digest of the pixels of its first clip; empty when that clip is damaged or there is none."""
    next_pixels: str
    """The same of the first clip of the next chunk; empty also when damage may reach beyond it."""
    damaged: tuple[tuple[float, float], ...]
    """Ranges in seconds that begin in this chunk."""
    packets: int
    """Packets that were read."""
    held_from: float | None = None
    """See `frames.ClipDecoder`; of the last chunk."""

    @classmethod
    def unreadable(cls) -> ChunkFacts:
        """Of a chunk that fits to no other."""
        return cls(first_pixels="", next_pixels="", damaged=(), packets=0)


def plan_chunks(
    container: str, duration_seconds: float | None, *, options: DecodeOptions, chunk_seconds: float, max_seconds: float
) -> tuple[ClipRange, ...]:
    """Chunks of equal length, none above `chunk_seconds`; a single one where the video is to be read in one go."""
    seconds = duration_seconds or 0.0
    if container not in _SEEKABLE or not chunk_seconds < seconds <= max_seconds:
        return (ClipRange(),)
    clips = clip_count(Fraction(seconds), options.clip_length, options.stride)
    count = -int(-seconds // chunk_seconds)
    cuts = [clips * number // count for number in range(count)]
    if cuts != sorted(set(cuts)):  # chunks of less than a clip
        return (ClipRange(),)
    return tuple(ClipRange(first=first, last=last) for first, last in zip(cuts, [*cuts[1:], None], strict=True))


def fit_together(chunks: Sequence[ChunkFacts], *, max_packets: int) -> bool:
    """Whether the chunks of a video are what reading it in one go would have given."""
    seams = all(one.next_pixels and one.next_pixels == two.first_pixels for one, two in itertools.pairwise(chunks))
    return seams and sum(chunk.packets for chunk in chunks) <= max_packets


class ChunkClips:
    """The clips of one chunk; `facts` and `damaged` are final when they have ended."""

    def __init__(self, source: IsolatedClips, clip_range: ClipRange, options: DecodeOptions) -> None:
        self._source, self._clip_range, self._options = source, clip_range, options
        self._digests: dict[int, str] = {}

    def __iter__(self) -> Iterator[ClipFrames]:
        for clip in self._source:
            if clip.index in (self._clip_range.first, self._clip_range.last):
                self._digests[clip.index] = _pixel_digest(clip)
            if clip.index != self._clip_range.last:
                yield clip

    @property
    def damaged(self) -> list[tuple[float, float]]:
        return self._source.damaged

    @property
    def held_from(self) -> float | None:
        return self._source.held_from

    @property
    def facts(self) -> ChunkFacts:
        """How it was read."""
        first, last = float(self._options.start_of(self._clip_range.first)), float("inf")
        if self._clip_range.last is not None:
            last = float(self._options.start_of(self._clip_range.last))
        next_pixels = "" if self._clip_range.last is None else self._digests.get(self._clip_range.last, "")
        return ChunkFacts(
            first_pixels=self._digests.get(self._clip_range.first, ""),
            next_pixels=next_pixels if self._source.refused_until <= last else "",
            damaged=tuple((start, end) for start, end in self._source.damaged if first <= start < last),
            packets=self._source.packets,
            held_from=self._source.held_from,
        )


def _pixel_digest(clip: ClipFrames) -> str:
    digest = hashlib.sha256(clip.rgb.tobytes())
    digest.update(b"" if clip.gray is None else clip.gray.tobytes())
    return digest.hexdigest()
