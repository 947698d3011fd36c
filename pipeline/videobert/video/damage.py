"""Which frames of a damaged video may be trusted, and the ranges of time that were lost. Pure arithmetic.

A decoder goes on after damage and gives frames that are built on what it lost. The damage is open from the last good
frame until a whole key frame appears that nothing damaged can have touched:

    closed --open()--> open --admits(): a whole key frame shown after `refused_until`--> closed

Times are exact fractions of seconds from time zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from videobert.video.clips import overlaps

__all__ = ["DamageTracker"]

_REORDER_SECONDS = 60
"""Far above what frames may wait to be shown: a time beyond it is part of the damage."""


class DamageTracker:
    """The damage of one video while its frames come out one by one."""

    def __init__(self) -> None:
        self._ranges: list[tuple[Fraction, Fraction]] = []
        self._open_since: Fraction | None = None
        self._refused_until = Fraction(0)

    @property
    def ranges(self) -> Sequence[tuple[Fraction, Fraction]]:
        """Half-open ranges in seconds whose frames could not be trusted, in order; without damage that is open."""
        return self._ranges

    @property
    def is_open(self) -> bool:
        """Whether frames are refused until a key frame ends the damage."""
        return self._open_since is not None

    @property
    def was_met(self) -> bool:
        """Whether there is any damage, open or closed."""
        return self.is_open or bool(self._ranges)

    @property
    def refused_until(self) -> Fraction:
        """Up to which time damage that was met may reach: a key frame shown no later than this closes nothing."""
        return self._refused_until

    def good_until(self, shown_until: Fraction) -> Fraction:
        """Up to which time all is well, in a video whose good frames last until `shown_until`."""
        if self._ranges:
            return self._ranges[0][0]
        return shown_until if self._open_since is None else self._open_since

    def touches(self, start: Fraction, end: Fraction) -> bool:
        """Whether [start, end) meets a lost range."""
        return overlaps(start, end, self._ranges)

    def open(self, shown_until: Fraction, *, packet_seconds: Fraction | None = None) -> None:
        """Trust no frame before the next key frame that is shown after the damaged packet, if its time is known.

        Frames come out some packets after they went in: a key frame may be one of those that the damage has met.
        """
        if self._open_since is None:
            self._open_since = shown_until
        if packet_seconds is not None and packet_seconds < max(shown_until, self._refused_until) + _REORDER_SECONDS:
            self._refused_until = max(self._refused_until, packet_seconds)

    def admits(self, seconds: Fraction | None, *, is_whole_key: bool) -> bool:
        """Whether a frame shown from this time on may be trusted; the first one after damage closes it."""
        if self._open_since is None:
            return True
        if not is_whole_key or seconds is None or seconds <= self._refused_until:
            return False
        if seconds > self._open_since:
            self._ranges.append((self._open_since, seconds))
        self._open_since = None
        return True

    def end(self, shown_until: Fraction, *, lost_until: Fraction) -> None:
        """The file has ended, and what comes after its last good frame is lost."""
        if lost_until > shown_until:
            self._ranges.append((shown_until, lost_until))
