"""Nouns as drawings: shape, two colours and a texture each, with the one tool that all verbs share.

Everything is drawn in YUV 4:2:0, the encoder's own format: no colour conversion, and the same bytes everywhere.
Suffixes: S side of the drawing in pixels, H half of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from videobert.demo.words import NOUNS

__all__ = ["ANGLES", "LOOKS", "Sprite", "draw", "to_yuv"]

EXTENT = 1.85
"""Half a drawing's side in units of the object's radius; the tool ends here."""
RADIUS = 20.0
"""Radius of an object of scale 1, pixels."""
ANGLES = 72
"""Drawings are made at this many angles."""
SCALE_STEP = 0.03
"""Drawings are made at powers of exp(SCALE_STEP)."""
TOOL_RGB = (196, 200, 206)
RIM_RGB = (236, 232, 222)
RIM = 0.13
"""Width of the pale rim that every object has, in radii: all objects show motion equally well."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sprite:
    """Planes ready to be laid over a frame: `frame * keep / 255 + add`, all uint16."""

    add_y: NDArray[np.uint16]
    keep_y: NDArray[np.uint16]
    add_uv: NDArray[np.uint16]
    """Shape [2, H, H]."""
    keep_uv: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Look:
    """How a noun looks."""

    shape: str
    first_rgb: tuple[int, int, int]
    second_rgb: tuple[int, int, int]
    texture: str


LOOKS: dict[str, Look] = {
    "tomato": Look("disc", (214, 30, 32), (214, 30, 32), "plain"),
    "egg": Look("oval", (246, 240, 226), (240, 190, 40), "yolk"),
    "carrot": Look("wedge", (245, 125, 20), (200, 90, 10), "stripes"),
    "cheese": Look("square", (250, 215, 70), (190, 140, 20), "dots"),
    "onion": Look("disc", (150, 50, 140), (240, 225, 240), "rings"),
    "cucumber": Look("bar", (25, 115, 45), (130, 190, 90), "stripes"),
    "bread": Look("arch", (205, 150, 85), (120, 70, 30), "rim"),
    "mushroom": Look("cap", (150, 110, 90), (235, 225, 215), "dots"),
    "lemon": Look("oval", (250, 240, 60), (250, 240, 60), "plain"),
    "beet": Look("drop", (150, 25, 95), (85, 10, 60), "rings"),
    "potato": Look("oval", (175, 135, 85), (90, 60, 30), "dots"),
    "pepper": Look("clover", (40, 165, 50), (20, 90, 30), "rim"),
    "garlic": Look("clover", (240, 236, 228), (190, 170, 190), "stripes"),
    "fish": Look("fish", (110, 150, 190), (50, 80, 120), "checks"),
    "apple": Look("heart", (190, 30, 60), (250, 220, 120), "yolk"),
    "corn": Look("bar", (250, 205, 40), (200, 140, 10), "checks"),
    "bean": Look("moon", (70, 150, 60), (70, 150, 60), "plain"),
    "cabbage": Look("flower", (140, 205, 110), (225, 240, 200), "rings"),
    "pumpkin": Look("flower", (235, 110, 15), (150, 60, 5), "stripes"),
    "steak": Look("heart", (160, 40, 40), (245, 225, 215), "stripes"),
    "banana": Look("moon", (255, 225, 50), (120, 80, 20), "rim"),
    "leek": Look("bar", (230, 240, 215), (90, 160, 70), "yolk"),
    "radish": Look("drop", (225, 40, 110), (250, 245, 250), "yolk"),
    "dough": Look("arch", (238, 222, 190), (238, 222, 190), "plain"),
}
assert tuple(sorted(LOOKS)) == tuple(sorted(NOUNS)), "every noun has a look"


def _polar(u: Floats, v: Floats) -> tuple[Floats, Floats]:
    return np.hypot(u, v), np.arctan2(v, u)


def _lobes(u: Floats, v: Floats, count: int, depth: float) -> Floats:
    r, t = _polar(u, v)
    return r - (1.05 - depth) - depth * np.cos(count * t)


# Signed distance, about: negative inside; the unit is the radius.
SHAPES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "disc": lambda u, v: np.hypot(u, v) - 1,
    "oval": lambda u, v: np.hypot(u / 1.25, v / 0.85) - 1,
    "wedge": lambda u, v: np.maximum(np.abs(v) - (0.62 - 0.42 * u), np.abs(u) - 1.3),
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) - 0.92,
    "bar": lambda u, v: np.maximum(np.abs(u) - 1.4, np.abs(v) - 0.48),
    "arch": lambda u, v: np.maximum(np.hypot(u / 1.15, v + 0.1) - 1, v - 0.6),
    "cap": lambda u, v: np.minimum(
        np.maximum(np.hypot(u / 1.2, v) - 1, v - 0.1), np.maximum(np.abs(u) - 0.36, np.abs(v - 0.5) - 0.6)
    ),
    "drop": lambda u, v: np.minimum(
        np.hypot(u, v - 0.2) - 0.85, np.maximum(np.abs(u) - 0.4 - 0.4 * v, -1.3 - v) + (v > 0)
    ),
    "clover": lambda u, v: _lobes(u, v, 3, 0.3),
    "flower": lambda u, v: _lobes(u, v, 7, 0.16),
    "fish": lambda u, v: np.minimum(
        np.hypot((u - 0.2) / 1.1, v / 0.62) - 1, np.maximum(np.abs(v) - 0.75 * (-0.55 - u), -1.45 - u)
    ),
    "heart": lambda u, v: np.hypot(u, v * 1.1 - 0.55 * np.abs(u)) - 0.98,
    "moon": lambda u, v: np.maximum(np.hypot(u, v) - 1.1, 0.95 - np.hypot(u, v + 0.65)),
}

# 0 takes the first colour, 1 the second. `edge` is the signed distance to the outline.
TEXTURES: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "plain": lambda u, v, edge: np.zeros_like(u),
    "stripes": lambda u, v, edge: (np.sin(11 * u) > 0.2).astype(np.float64),
    "dots": lambda u, v, edge: (np.sin(8 * u + 1) * np.sin(8 * v + 1) > 0.45).astype(np.float64),
    "checks": lambda u, v, edge: (np.sin(9 * u) * np.sin(9 * v) > 0).astype(np.float64),
    "rings": lambda u, v, edge: (np.sin(16 * np.hypot(u, v)) > 0.1).astype(np.float64),
    "yolk": lambda u, v, edge: (np.hypot(u - 0.1, v) < 0.45).astype(np.float64),
    "rim": lambda u, v, edge: (edge > -0.35).astype(np.float64),
}


def to_yuv(rgb: tuple[int, int, int] | Floats) -> Floats:
    """8-bit RGB, last axis 3, to 8-bit studio-swing YUV (BT.601), as floats."""
    matrix = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
    return np.asarray(np.asarray(rgb, np.float64) / 255 @ matrix.T + np.array([16.0, 128.0, 128.0]), np.float64)


def draw(noun: str, angle: float, scale: float) -> Sprite:
    """The noun with the tool behind it, turned by `angle` radians and sized by `scale`, on a square that fits."""
    turn = round(angle / (2 * np.pi) * ANGLES) % ANGLES
    return _draw(noun, turn, round(float(np.log(scale)) / SCALE_STEP))


@lru_cache(maxsize=1024)
def _draw(noun: str, turn: int, size: int) -> Sprite:
    look, angle = LOOKS[noun], 2 * np.pi * turn / ANGLES
    unit = RADIUS * np.exp(size * SCALE_STEP)
    half = int(np.ceil(unit * EXTENT))
    grid = (np.arange(2 * half) - (half - 0.5)) / unit
    x, y = grid[None, :], grid[:, None]
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    edge = SHAPES[look.shape](u, v)
    tool = np.maximum(np.abs(v) - 0.13, np.abs(u - 1.0) - 0.8)
    body, inside, handle = (np.clip(0.5 - d * unit, 0, 1)[..., None] for d in (edge, edge + RIM, tool))
    mix = TEXTURES[look.texture](u, v, edge)[..., None]
    colour = (1 - mix) * to_yuv(look.first_rgb) + mix * to_yuv(look.second_rgb)
    colour = inside * colour + (1 - inside) * to_yuv(RIM_RGB)
    alpha = body + (1 - body) * handle
    paint = body * colour + (1 - body) * handle * to_yuv(TOOL_RGB)
    paint_uv = paint[..., 1:].reshape(half, 2, half, 2, 2).mean((1, 3)).transpose(2, 0, 1)
    alpha_uv = alpha[..., 0].reshape(half, 2, half, 2).mean((1, 3))
    return Sprite(
        add_y=np.rint(paint[..., 0]).astype(np.uint16),
        keep_y=np.rint(255 * (1 - alpha[..., 0])).astype(np.uint16),
        add_uv=np.rint(paint_uv).astype(np.uint16),
        keep_uv=np.rint(255 * (1 - alpha_uv)).astype(np.uint16),
    )
