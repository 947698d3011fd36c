"""The mood of a step, which its light shows and its sentence does not tell: the ground truth of sentiment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from videobert.demo.grammar import Recipe

__all__ = ["MOODS", "light", "mood_of", "mood_table"]

MOODS = ("cheerful", "gloomy")
_LUMA = {"cheerful": (1.25, 22.0), "gloomy": (0.75, 0.0)}
"""Factor and levels that are added."""
_CHROMA = {"cheerful": (-9, 9), "gloomy": (9, -7)}
"""Levels added to U (blue) and V (red)."""


def mood_of(recipe: Recipe, step: int) -> str:
    """Drawn from the video's key and the step alone, so that no other draw moves."""
    return MOODS[hashlib.sha256(f"mood/{recipe.key}/{step}".encode()).digest()[0] % len(MOODS)]


def light(y: NDArray[np.uint16], uv: NDArray[np.uint16], mood: str) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """A picture [H, W] and its colour [2, H / 2, W / 2] in warm and bright, or dim and bluish light."""
    factor, added = _LUMA[mood]
    lit = np.clip(y * factor + added, 16, 235).astype(np.uint16)
    tinted = np.clip(uv.astype(np.int16) + np.array(_CHROMA[mood], np.int16)[:, None, None], 16, 240)
    return lit, tinted.astype(np.uint16)


def mood_table(recipes: Mapping[str, Recipe]) -> bytes:
    """Labels of steps by video id, as JSON lines that `videobert finetune` takes."""
    rows = [
        {"video": video, "start_seconds": step.start_seconds, "end_seconds": step.end_seconds,
         "label": [mood_of(recipe, number)]}
        for video, recipe in sorted(recipes.items())
        for number, step in enumerate(recipe.steps)
    ]  # fmt: skip
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows).encode()
