"""Verbs as motion: where the object is over time. One frame shows an object somewhere, which every verb allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videobert.demo.words import VERBS

__all__ = ["MOTIONS", "Path", "path_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Position, angle and size of an object at each of N frames."""

    x: Floats
    """Offset to the right, pixels, shape [N]."""
    y: Floats
    """Offset downwards, pixels, shape [N]."""
    angle: Floats
    """Radians, shape [N]."""
    scale: Floats
    """Size relative to the drawing, shape [N]."""


Offsets = tuple[Floats | float, Floats | float, Floats | float, Floats | float]
"""x and y in units of the reach, angle in radians, log of the size."""

TAU = 2 * np.pi


def _saw(u: Floats) -> Floats:
    """From -1 up to 1 once a cycle, then back at once."""
    return 2 * (u % 1.0) - 1


def _triangle(u: Floats) -> Floats:
    """From -1 to 1 and back at constant speed."""
    return 1 - 4 * np.abs(u % 1.0 - 0.5)


# Each takes the time in cycles of about one second, with a random phase. They differ in the area they sweep within the
# 1.5 s of a clip (column, row, ring, disc, diagonal, ...) and not in speed alone, because temporal-difference images
# of thirds of a clip show areas well and speed badly.
MOTIONS: dict[str, Callable[[Floats], Offsets]] = {
    "chop": lambda u: (0.0, np.sin(TAU * 1.7 * u), 0.0, 0.0),
    "slice": lambda u: (1.35 * np.sin(TAU * 1.7 * u), 0.0, 0.0, 0.0),
    "stir": lambda u: (np.cos(TAU * u), np.sin(TAU * u), 0.0, 0.0),
    "roll": lambda u: (0.0, 0.0, TAU * u, 0.0),
    "drop": lambda u: (0.25 * np.sin(TAU * u / 2), 1.6 * _saw(u / 1.3), 0.0, 0.0),
    "knead": lambda u: (0.0, 0.0, 0.0, 0.42 * np.sin(TAU * 1.4 * u)),
    "whisk": lambda u: (1.1 * _triangle(2.5 * u), 0.9 * _triangle(0.45 * u), 0.0, 0.0),
    "grate": lambda u: (np.sin(TAU * 1.7 * u), -0.9 * np.sin(TAU * 1.7 * u), 0.0, 0.0),
    "peel": lambda u: (np.sin(TAU * 1.7 * u), 0.9 * np.sin(TAU * 1.7 * u), 0.0, 0.0),
    "tip": lambda u: (0.0, 0.0, 0.9 * np.sin(TAU * 1.2 * u), 0.0),
    "shake": lambda u: (0.22 * np.sin(TAU * 5.1 * u), 0.22 * np.sin(TAU * 3.7 * u + 1), 0.0, 0.0),
    "toss": lambda u: (1.3 * _triangle(0.5 * u), 1 - 2 * np.abs(np.sin(np.pi * 1.5 * u)), 0.0, 0.0),
}
assert tuple(sorted(MOTIONS)) == tuple(sorted(VERBS)), "every verb is a motion"


def path_of(verb: str, seconds_N: Floats, *, reach_pixels: float, rng: np.random.Generator) -> Path:
    """The path of one step. Rest position, first angle, size, tempo and phase are random, alike for every verb."""
    cycles_N = seconds_N / rng.uniform(0.9, 1.1) + rng.uniform(0, 1)
    x, y, angle, log_scale = MOTIONS[verb](cycles_N)
    rest_x, rest_y = rng.uniform(-0.4, 0.4), rng.uniform(-0.3, 0.3)
    zero_N = np.zeros(len(seconds_N))
    return Path(
        x=reach_pixels * (x + rest_x) + zero_N,
        y=reach_pixels * (y + rest_y) + zero_N,
        angle=angle + rng.uniform(0, TAU) + zero_N,
        scale=np.exp(log_scale + rng.uniform(-0.15, 0.15) + zero_N),
    )
