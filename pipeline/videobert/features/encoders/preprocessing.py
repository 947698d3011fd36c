"""How a model's own processor cuts and scales pictures, read from its JSON files and applied by our own arithmetic.

The processors themselves want torchvision, and resize one picture at a time; here FFmpeg has resized them already.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videobert.errors import InputError
from videobert.features.encoders.model_files import PREPROCESSOR_FILES
from videobert.video.request import ClipRequest

__all__ = ["PREPROCESSOR_FILES", "Preprocessing", "read_preprocessing"]

_Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How pixels become numbers: constants, the same for every clip, so that no clip depends on its batch."""

    size: int
    """Side of the square picture; of one patch where `max_patches` is set."""
    mean: _Triple
    """Taken from scaled values, for red, green and blue."""
    std: _Triple
    shorter_side: int | None = None
    """The frame is scaled to this shorter side, and the middle square is cut out; none: it is squeezed to a square."""
    squeezed_side: int | None = None
    """The frame is squeezed to a square of this side, and the middle of it is cut out (DeiT)."""
    max_patches: int | None = None
    """The frame keeps its shape, in at most so many patches (SigLIP 2 NaFlex)."""
    levels: float = 255.0
    """What the 256 levels are divided by."""
    offset: float = 0.0
    """What is then taken away."""
    is_bgr: bool = False
    """Blue comes first."""

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0 or self.size < 1:
            raise ValueError(f"three means, three positive deviations and a size are needed, got {self}")

    @property
    def geometry(self) -> str:
        """In words, for the table of encoders."""
        if self.max_patches is not None:
            return f"{self.max_patches} patches of {self.size}"
        if self.shorter_side is not None:
            return f"{self.size}, cut from {self.shorter_side}"
        return f"{self.size}, squeezed" + (f" to {self.squeezed_side} and cut" if self.squeezed_side else "")

    def request(self, frame_ticks: tuple[int, ...]) -> ClipRequest:
        """What to ask the decoder for."""
        return ClipRequest(
            frame_ticks=frame_ticks, size=self.squeezed_side or self.size, shorter_side=self.shorter_side,
            max_patches=self.max_patches,
        )  # fmt: skip


def read_preprocessing(folder: Path, config: Any, name: str, *, in_patches: bool = False) -> Preprocessing:
    """From the preprocessor file of a model directory, or the `pretrained_cfg` of timm in its config.json.

    `config` is that of the model, a transformers object without a common type: it tells the size where the file does
    not. `in_patches` is for models that take nothing else (SigLIP 2 NaFlex).
    Raises `InputError` when the directory has no such file, or one for pictures of other than three colours.
    """
    path = next((folder / file for file in PREPROCESSOR_FILES if (folder / file).is_file()), None)
    values = json.loads(path.read_text("utf-8")) if path else {}
    values = values.get("video_processor") or values.get("image_processor") or values
    timm = values.get("pretrained_cfg") or getattr(config, "pretrained_cfg", None)
    if path is None and not timm:
        raise InputError(
            f"encoder='hf:{name}' has none of {', '.join(PREPROCESSOR_FILES)}; save its image processor there"
        )
    file = path.name if path else "config.json"
    try:
        found = _of_timm(timm) if timm else _of_transformers(values, config, in_patches=in_patches)
        if found is not None:
            return found
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"encoder='hf:{name}' cannot be used with its {file}: {error}") from error
    raise InputError(f"encoder='hf:{name}' names no picture size in config.json or {file}; add `image_size`")


def _of_transformers(values: Mapping[str, Any], config: Any, *, in_patches: bool) -> Preprocessing | None:
    default = _Defaults(values)
    levels = _levels(values, default)
    if in_patches:
        most = values.get("max_num_patches") or _of(config, "num_patches")
        patch = _side(values.get("patch_size") or _of(config, "patch_size"))
        return Preprocessing(size=patch, max_patches=int(most), **levels) if patch and most else None
    crop = _side(values.get("crop_size")) if default("do_center_crop", "crop_size" in values) else None
    size = values.get("size")
    side = (
        crop
        or _side(size)
        or _side(_of(config, "image_size"))
        or _side(_of(config, "crop_size"))
        or _side(default("size", None))
    )
    if side is None:
        return None
    keeps_shape = (isinstance(size, dict) and "shortest_edge" in size) or (
        isinstance(size, int) and crop is not None and not default("default_to_square", False)
    )
    if crop is not None:
        scaled = max(crop, _side(size) or crop)
        if keeps_shape:
            return Preprocessing(size=crop, shorter_side=scaled, **levels)
        return Preprocessing(size=crop, squeezed_side=None if scaled == crop else scaled, **levels)
    if not keeps_shape:
        return Preprocessing(size=side, **levels)
    part = default("crop_pct", None)  # of ConvNeXt, whose processor crops below 384 pixels and squeezes above
    if part is not None and side >= 384:
        return Preprocessing(size=side, **levels)
    return Preprocessing(size=side, shorter_side=int(side / (part or 1)), **levels)


def _levels(values: Mapping[str, Any], default: _Defaults) -> dict[str, Any]:
    """How the 256 levels become numbers."""
    normalised = default("do_normalize", not default.are_known)
    std = tuple(default("image_std", (0.5,) * 3)) if normalised else (1.0,) * 3
    if default("include_top", False):  # EfficientNet's divides by the deviation twice
        std = tuple(value * value for value in std)
    levels = 1 / float(default("rescale_factor", 1 / 255)) if default("do_rescale", True) else 1.0
    # Halves of 255 go from 0 to 2, and from -1 to 1 with the offset that ViViT's video processor does not write down.
    offset = default("rescale_offset", False) or values.get("offset", abs(levels - 127.5) < 0.1)
    return {
        "mean": tuple(default("image_mean", (0.5,) * 3)) if normalised else (0.0,) * 3,
        "std": std,
        "levels": levels,
        "offset": float(bool(offset)),
        "is_bgr": bool(default("do_flip_channel_order", False)),
    }


def _of_timm(values: Mapping[str, Any]) -> Preprocessing:
    """timm's own: the shorter side is `input_size / crop_pct`, and the middle square is cut out."""
    side = int(values["input_size"][-1])
    levels: dict[str, Any] = {"mean": tuple(values["mean"]), "std": tuple(values["std"])}
    if values.get("crop_mode") == "squash":
        scaled = int(side / float(values.get("crop_pct") or 1))
        return Preprocessing(size=side, squeezed_side=None if scaled == side else scaled, **levels)
    return Preprocessing(size=side, shorter_side=int(side / float(values.get("crop_pct") or 0.875)), **levels)


class _Defaults:
    """A setting of the file, else that of the processor's class, as old files hold only what was changed."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values, self._class = values, _processor_class(values)
        self.are_known = self._class is not None

    def __call__(self, name: str, otherwise: Any) -> Any:
        value = self._values.get(name, getattr(self._class, name, None))
        return otherwise if value is None else value


def _processor_class(values: Mapping[str, Any]) -> Any:
    """The class without torchvision of the image processor that a file names, for its defaults alone; or none."""
    import transformers

    named = values.get("image_processor_type") or values.get("feature_extractor_type") or ""
    plain = str(named).replace("FeatureExtractor", "ImageProcessor").removesuffix("Fast").removesuffix("Pil")
    return getattr(transformers, f"{plain}Pil", None) if plain.isidentifier() else None


def _of(config: Any, name: str) -> Any:
    """A setting of a model, or of its picture tower."""
    parts = (config, getattr(config, "vision_config", None), getattr(config, "video_config", None))
    return next((value for part in parts if (value := getattr(part, name, None)) is not None), None)


def _side(value: Any) -> int | None:
    """The side of a square from the many ways in which it is written; none when it is not there."""
    if isinstance(value, Mapping):
        value = next((value[k] for k in ("height", "shortest_edge", "longest_edge") if value.get(k)), None)
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    return int(value) if value else None
