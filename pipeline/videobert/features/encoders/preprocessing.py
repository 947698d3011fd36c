"""How a model's own preprocessor scales pixels, read from its JSON file and applied by our own arithmetic."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videobert.errors import InputError

__all__ = ["PREPROCESSOR_FILES", "Preprocessing", "read_preprocessing"]

PREPROCESSOR_FILES = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How pixels become numbers: constants, the same for every clip, so that no clip depends on its batch."""

    size: int
    """Side of the square picture."""
    mean: tuple[float, float, float]
    """Taken from values scaled to 0..1, for red, green and blue."""
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0 or self.size < 1:
            raise ValueError(f"three means, three positive deviations and a size are needed, got {self}")


def read_preprocessing(folder: Path, vision: Any, name: str) -> Preprocessing:
    """From the preprocessor file of a model directory; the model's own picture size wins over that of the file.

    `vision` is the model's configuration, a transformers object without a common type. Raises `InputError` when the
    directory has no such file, or one for pictures of other than three colours.
    """
    path = next((folder / file for file in PREPROCESSOR_FILES if (folder / file).is_file()), None)
    if path is None:
        raise InputError(
            f"encoder='hf:{name}' has none of {', '.join(PREPROCESSOR_FILES)}; save its image processor there"
        )
    values = json.loads(path.read_text("utf-8"))
    values = values.get("video_processor") or values.get("image_processor") or values
    normalised = values.get("do_normalize", True)
    mean = values.get("image_mean", (0.5,) * 3) if normalised else (0.0,) * 3
    std = values.get("image_std", (0.5,) * 3) if normalised else (1.0,) * 3
    sizes = (getattr(vision, "image_size", None), getattr(vision, "crop_size", None), values.get("crop_size"))
    side = next((s for value in (*sizes, values.get("size")) if (s := _side(value))), None)
    if side is None:
        raise InputError(f"encoder='hf:{name}' names no picture size in config.json or {path.name}; add `image_size`")
    try:
        return Preprocessing(size=side, mean=tuple(mean), std=tuple(std))
    except ValueError as error:
        raise InputError(f"encoder='hf:{name}' cannot be used with its {path.name}: {error}") from error


def _side(value: Any) -> int | None:
    """The side of a square from the many ways in which it is written; none when it is not there."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("height", "shortest_edge") if value.get(key)), None)
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    return int(value) if value else None
