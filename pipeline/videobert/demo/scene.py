"""The frames of one kitchen video, as YUV 4:2:0 arrays: table, object in motion, camera shake, sensor noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videobert.demo.grammar import Recipe
from videobert.demo.moods import light, mood_of
from videobert.demo.motions import Path, path_of
from videobert.demo.sprites import Sprite, draw, to_yuv
from videobert.errors import InputError

__all__ = ["SceneConfig", "frames"]

NOISE_FRAMES = 6
"""Sensor noise repeats from this many pictures, shifted at random: fresh noise would cost more than the drawing."""

Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneConfig:
    """How a kitchen video looks."""

    width: int = 192
    """Pixels; a multiple of 4."""
    height: int = 144
    """Pixels; a multiple of 4."""
    reach_pixels: float = 34.0
    """Half of the way that an ordinary motion covers."""
    jitter_pixels: int = 1
    """The camera moves by at most this many steps of two pixels each way, now and then."""
    noise_levels: float = 2.0
    """Standard deviation of the sensor noise in luma, 8-bit levels."""
    moods: bool = False
    """Whether the light of a step shows its mood, of which nothing is said."""

    def __post_init__(self) -> None:
        if self.width < 64 or self.height < 64 or self.width % 4 or self.height % 4:
            raise InputError(f"{self.width}x{self.height} cannot be drawn; use multiples of 4 from 64 on")
        if self.reach_pixels <= 0 or self.jitter_pixels < 0 or self.noise_levels < 0:
            raise InputError(
                f"reach_pixels={self.reach_pixels}, jitter_pixels={self.jitter_pixels}, noise_levels="
                f"{self.noise_levels} make no scene; use a positive reach and no negative jitter or noise"
            )


def frames(
    recipe: Recipe, times_N: NDArray[np.float64], *, config: SceneConfig, rng: np.random.Generator
) -> Iterator[Plane]:
    """One array [height * 3 / 2, width] a frame (Y above U above V), at the given seconds."""
    margin = config.jitter_pixels * 2
    table_y, table_uv = _table(config, margin, rng)
    noise = rng.normal(0, config.noise_levels, (NOISE_FRAMES, config.height * 2, config.width * 2))
    noise_ranks = np.rint(noise).astype(np.int16)
    shake_N2 = 2 * rng.integers(-config.jitter_pixels, config.jitter_pixels + 1, (len(times_N), 2))
    shake_N2[rng.random(len(times_N)) < 0.9] = 0
    grain_N3 = rng.integers((NOISE_FRAMES, config.height, config.width), size=(len(times_N), 3))
    ends = [step.end_seconds for step in recipe.steps]
    of_step_N = np.minimum(np.searchsorted(ends, times_N, side="right"), len(ends) - 1)
    for index, step in enumerate(recipe.steps):
        chosen = np.flatnonzero(of_step_N == index)
        path = path_of(step.verb, times_N[chosen] - step.start_seconds, reach_pixels=config.reach_pixels, rng=rng)
        for place, frame in enumerate(chosen):
            dy, dx = (int(v) for v in shake_N2[frame])
            y = table_y[margin + dy :, margin + dx :][: config.height, : config.width].copy()
            top, left = (margin + dy) // 2, (margin + dx) // 2
            uv = table_uv[:, top:, left:][:, : config.height // 2, : config.width // 2].copy()
            _lay(y, uv, path, place, step.noun, (dy, dx))
            if config.moods:
                y, uv = light(y, uv, mood_of(recipe, index))
            which, down, right = grain_N3[frame]
            grain = noise_ranks[which, down : down + config.height, right : right + config.width]
            luma = np.clip(y.astype(np.int16) + grain, 16, 235).astype(np.uint8)
            yield np.concatenate([luma, uv.astype(np.uint8).reshape(config.height // 2, config.width)])


def _table(config: SceneConfig, margin: int, rng: np.random.Generator) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """A calm table top, larger than the frame by `margin` on each side; its tone belongs to the video, not the verb."""
    height, width = config.height + 2 * margin, config.width + 2 * margin
    tone = to_yuv(rng.uniform((35, 40, 45), (65, 65, 75)))
    ramp = np.linspace(-8, 8, height)[:, None] * rng.uniform(-1, 1) + np.linspace(-8, 8, width) * rng.uniform(-1, 1)
    y = np.rint(tone[0] + ramp).astype(np.uint16)
    uv = np.tile(np.rint(tone[1:, None, None]).astype(np.uint16), (1, height // 2, width // 2))
    return y, uv


def _lay(
    y: NDArray[np.uint16], uv: NDArray[np.uint16], path: Path, place: int, noun: str, shake: tuple[int, int]
) -> None:
    """Lay the object over the table, in place; what leaves the frame is cut off."""
    sprite: Sprite = draw(noun, float(path.angle[place]), float(path.scale[place]))
    height, width = y.shape
    half = len(sprite.add_y) // 2
    # Even corners keep luma and chroma on one grid.
    top = 2 * round((height / 2 - shake[0] + path.y[place] - half) / 2)
    left = 2 * round((width / 2 - shake[1] + path.x[place] - half) / 2)
    y0, y1 = max(top, 0), min(top + 2 * half, height)
    x0, x1 = max(left, 0), min(left + 2 * half, width)
    if y0 >= y1 or x0 >= x1:
        return
    part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    y[y0:y1, x0:x1] = y[y0:y1, x0:x1] * sprite.keep_y[part] // 255 + sprite.add_y[part]
    halves = np.s_[:, (y0 - top) // 2 : (y1 - top) // 2, (x0 - left) // 2 : (x1 - left) // 2]
    target = np.s_[:, y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
    uv[target] = uv[target] * sprite.keep_uv[halves[1:]] // 255 + sprite.add_uv[halves]
