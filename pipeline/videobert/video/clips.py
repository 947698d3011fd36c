"""Pure arithmetic from presentation times to ticks and clips. Times are exact fractions of seconds from time zero.

Time zero is the start of the container, which captions count from. Tick k is at k / rate; it shows the frame with
the latest presentation time at or before it, and the first frame when none has come yet, as a player does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

__all__ = [
    "END_TOLERANCE", "ClipRange", "TickClock", "clip_count", "has_rest", "overlaps", "spread_ticks", "ticks_before",
]  # fmt: skip

END_TOLERANCE = Fraction(2, 1000)
"""Containers that count in milliseconds round both the last time stamp and its duration: 36 frames at 24 fps may end at
1.499 s. Two milliseconds of grace keep the clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRange:
    """Clips `first` to `last` of a video, both included; the default is the whole video."""

    first: int = 0
    last: int | None = None
    """None: to the end."""


def ticks_before(seconds: Fraction, rate: Fraction) -> int:
    """How many ticks stand strictly before a time: those that still show the former frame when a new one appears."""
    return max(0, ceil(seconds * rate))


def clip_count(seconds: Fraction, clip_length: Fraction, stride: Fraction | None = None) -> int:
    """Whole clips in a video of this length, one begun every `stride`; without it floor(T / 1.5) as in the paper."""
    stride = stride or clip_length
    return max(0, int((seconds + END_TOLERANCE - clip_length) // stride) + 1)


def has_rest(seconds: Fraction, covered: Fraction, rate: Fraction) -> bool:
    """Whether a video of this length shows a picture at a tick after the clips that cover its beginning."""
    return ticks_before(seconds - END_TOLERANCE, rate) > ticks_before(covered, rate)


def spread_ticks(frames: int, ticks: int) -> tuple[int, ...]:
    """The middle ticks of `frames` equal parts of a clip; repeats when more frames are asked than there are ticks."""
    return tuple((2 * i + 1) * ticks // (2 * frames) for i in range(frames))


def overlaps(start: Fraction, end: Fraction, ranges: Sequence[tuple[Fraction, Fraction]]) -> bool:
    """Whether the half-open interval [start, end) meets any of the half-open ranges."""
    return any(a < end and start < b for a, b in ranges)


class TickClock:
    """Hands out every tick exactly once, in order, while frames arrive one by one."""

    def __init__(self, rate: Fraction, *, first: int = 0) -> None:
        self._rate = rate
        self.next = first

    def until(self, seconds: Fraction) -> range:
        """Ticks before `seconds` that were not handed out yet: they show the frame that stood until now."""
        ticks = range(self.next, max(self.next, ticks_before(seconds, self._rate)))
        self.next = ticks.stop
        return ticks
