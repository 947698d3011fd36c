"""How a video is cut into clips and by what it is decoded. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from videobert.errors import InputError

__all__ = ["DecodeOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeOptions:
    """The defaults are the paper's: 30 frames at 20 fps make a clip of 1.5 s."""

    fps: float = 20.0
    """Ticks a second at which the video is sampled."""
    clip_seconds: float = 1.5
    """Length of a clip; a whole number of ticks, at least 2."""
    decoding_gpu: int | None = None
    """The GPU whose video engine decodes; none: the CPU does."""

    def __post_init__(self) -> None:
        for name in ("fps", "clip_seconds"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise InputError(f"{name}={value!r} must be a positive finite number")
        ticks = self.rate * self.clip_length
        if ticks.denominator != 1 or ticks < 2:
            raise InputError(
                f"clip_seconds={self.clip_seconds} at fps={self.fps} is {float(ticks):g} ticks a clip; "
                "choose values whose product is a whole number of at least 2"
            )

    @property
    def rate(self) -> Fraction:
        """Ticks a second, exact (29.97 becomes 2997/100)."""
        return _exact(self.fps)

    @property
    def clip_length(self) -> Fraction:
        """Seconds a clip, exact."""
        return _exact(self.clip_seconds)

    @property
    def ticks_per_clip(self) -> int:
        """Ticks a clip; 30 in the paper."""
        return int(self.rate * self.clip_length)


@cache
def _exact(number: float) -> Fraction:
    return Fraction(number).limit_denominator(100_000)
