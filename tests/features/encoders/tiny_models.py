"""Small random models of any family of transformers, made from the family's own default configuration.

Widths are divided by one number, so that what must divide another still does; depths are cut to two; sizes of pictures
and patches stay, as the towers are built for them.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto import image_processing_auto, modeling_auto

__all__ = ["pixel_families", "save_tiny", "tiny_config"]

IMAGE_PROCESSOR_MAPPING_NAMES: dict[str, Any] = vars(image_processing_auto)["IMAGE_PROCESSOR_MAPPING_NAMES"]
MODEL_MAPPING_NAMES: dict[str, Any] = vars(modeling_auto)["MODEL_MAPPING_NAMES"]
_WIDTH = re.compile(r"size|dim|width|channels|filters|features|rank|section|hidden|d_model|proj|bottleneck|embed")
_NO_WIDTH = re.compile(
    r"image|patch|kernel|window|vocab|crop|tubelet|pool|input_size|position|^num_|stride|token|max_|mask|grid|frame|"
    r"temporal_size|chunk|merge|_id|level|points|in_channels|group|spatial_shapes|layers|depth|block_size|sample|"
    r"queries|pretrain"
)
_DEPTH = re.compile(r"num_.*layers|n_layers?$|(en|de)coder_layers|^depth$|vision_layers|^layers$")
_OF_DEPTH = {
    "out_features", "out_indices", "stage_names", "layer_types", "per_layer_config", "block_types", "_out_features",
    "_out_indices", "mlp_layer_types",
}  # fmt: skip
_VOCABULARY = 2000
_LARGE, _USUAL = 518, 224


def pixel_families() -> list[str]:
    """Every family that `AutoModel` makes and that has a method with an argument for pixels."""
    return [family for family in MODEL_MAPPING_NAMES if _takes_pixels(family)]


def save_tiny(family: str, folder: Path, *, divisor: int = 16) -> None:
    """A model of this family with random weights, and the family's own image processor, as `save_pretrained` writes.

    Raises what the family raises where it cannot be made so small, or a package is missing.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kind: Any = transformers.AutoModel
        model = kind.from_config(tiny_config(family, divisor))
    model.save_pretrained(folder)
    _save_processor(family, folder, model.config)


def _save_processor(family: str, folder: Path, config: Any) -> None:
    """The defaults of the family's image processor with the model's own size; a square where only torchvision has one.

    Sizes for pages and large pictures, which take minutes, become 224.
    """
    names = IMAGE_PROCESSOR_MAPPING_NAMES.get(family)
    name = names.get("pil") if isinstance(names, dict) else None
    kind: Any = getattr(transformers, name) if name is not None else None
    values: dict[str, Any] = kind().to_dict() if kind else {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    if values.get("max_num_patches") is None:
        parts = [config, getattr(config, "vision_config", None), getattr(config, "video_config", None)]
        sizes = [getattr(part, key, None) for part in parts for key in ("image_size", "crop_size", "input_size")]
        own = next((_side(size) for size in sizes if size), None) or _side(values.get("size")) or _USUAL
        values |= _sized(values, own if own <= _LARGE else _USUAL)
    (folder / "preprocessor_config.json").write_text(json.dumps(values))


def _sized(values: dict[str, Any], side: int) -> dict[str, Any]:
    """The settings of a processor for a picture of this side; what it cuts off keeps its part."""
    size, crop = values.get("size") or {}, values.get("crop_size")
    if values.get("do_center_crop") and crop:
        scaled = max(side, side * (size.get("shortest_edge") or size.get("height") or side) // (crop["height"] or side))
        kept = {"shortest_edge": scaled} if "shortest_edge" in size else {"height": scaled, "width": scaled}
        return {"crop_size": {"height": side, "width": side}, "size": kept}
    return {"size": {"shortest_edge": side} if set(size) == {"shortest_edge"} else {"height": side, "width": side}}


def _side(size: Any) -> int | None:
    """The side of a picture from the ways in which configurations write it."""
    if isinstance(size, dict):
        size = size.get("shortest_edge") or size.get("height")
    number: int | None = size[-1] if isinstance(size, list | tuple) else size
    return number


def _takes_pixels(family: str) -> bool:
    name = MODEL_MAPPING_NAMES[family]
    model = getattr(transformers, name if isinstance(name, str) else name[0], None)
    if model is None:
        return False
    methods = ("forward", "get_image_features", "get_video_features", "get_vision_features", "get_video_embeds")
    try:
        found = [getattr(model, method) for method in methods if hasattr(model, method)]
    except ImportError:  # what stands for a class of a package that is not there (torchaudio)
        return False
    return any("pixel" in parameter for method in found for parameter in inspect.signature(method).parameters)


def tiny_config(family: str, divisor: int) -> Any:
    """The default configuration with all widths divided, and depths of two."""
    kind = transformers.CONFIG_MAPPING[family]
    values = kind().to_dict()
    values.pop("transformers_version", None)
    return kind.from_dict(_shrunk(values, divisor))


def _shrunk(values: dict[str, Any], divisor: int) -> dict[str, Any]:
    return {key: _small(str(key), value, divisor) for key, value in values.items() if key not in _OF_DEPTH}


def _small(key: str, value: Any, divisor: int) -> Any:
    if isinstance(value, dict):
        return _shrunk(value, divisor)
    is_width = bool(_WIDTH.search(key)) and not _NO_WIDTH.search(key)
    if isinstance(value, list | tuple) and value and all(type(x) is int for x in value):
        if key in ("depths", "layers"):
            return [min(x, 1) for x in value]
        return [x // divisor for x in value] if is_width and all(x % divisor == 0 for x in value) else value
    if type(value) is not int:
        return value
    if key == "vocab_size":
        return min(value, _VOCABULARY)
    if key.endswith(("token_id", "token_index")):
        return value if value < _VOCABULARY else _VOCABULARY - 100 + value % 90
    if _DEPTH.search(key):
        return min(value, 2)
    return value // divisor if is_width and value >= divisor and value % divisor == 0 else value
