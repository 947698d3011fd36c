"""How a video is cut into clips and by what it is decoded. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

from videobert.errors import InputError

__all__ = ["ClipTiming", "DecodeOptions"]


class ClipTiming:
    """When ticks and clips are, for a record with these fields."""

    __slots__ = ()
    fps: float
    clip_seconds: float
    clip_stride: float | None

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

    @property
    def stride(self) -> Fraction:
        """Seconds from one clip to the next, exact."""
        return self.clip_length if self.clip_stride is None else _exact(self.clip_stride)

    @property
    def ticks_per_stride(self) -> int:
        """Ticks from one clip to the next."""
        return int(self.rate * self.stride)

    def start_of(self, clip: int) -> Fraction:
        """When a clip begins, in seconds from time zero."""
        return clip * self.stride

    def end_of(self, clip: int) -> Fraction:
        """When a clip ends."""
        return clip * self.stride + self.clip_length


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeOptions(ClipTiming):
    """The defaults are the paper's: 30 frames at 20 fps make a clip of 1.5 s."""

    fps: float = 20.0
    """Ticks a second at which the video is sampled."""
    clip_seconds: float = 1.5
    """Length of a clip; a whole number of ticks, at least 2."""
    clip_stride: float | None = None
    """Seconds from the start of a clip to the start of the next, a whole number of ticks; none: `clip_seconds`, so that
    clips do not overlap."""
    last_clip: Literal["drop", "hold"] = "drop"
    """What becomes of pictures after the last whole clip; `hold` makes one more clip of them."""
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
        self._check_stride()
        if self.last_clip not in ("drop", "hold"):
            raise InputError(f"last_clip={self.last_clip!r} is unknown; choose drop or hold")

    def _check_stride(self) -> None:
        stride = self.clip_stride
        if stride is None:
            return
        if not 0 < stride <= self.clip_seconds or (ticks := self.rate * _exact(stride)).denominator != 1 or not ticks:
            raise InputError(
                f"clip_stride={stride!r} at fps={self.fps} must be a whole number of ticks of {1 / self.fps:g} s, "
                f"and at most clip_seconds={self.clip_seconds}: no second of a video is to be left out"
            )


@cache
def _exact(number: float) -> Fraction:
    return Fraction(number).limit_denominator(100_000)
