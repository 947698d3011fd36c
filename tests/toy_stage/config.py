"""What may vary in the toy stage."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BrightnessConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrightnessConfig:
    """How bright is bright."""

    gain: float = 1.0
    """Factor on the mean of a clip's vector."""
