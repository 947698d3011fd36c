"""Which arithmetic surrounds a model's weights: part of an encoder's identity, known without loading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from videobert.features.encoders.model_files import PREPROCESSOR_FILES

__all__ = ["loader_version"]

_SQUEEZING, _GENERAL = "huggingface-1", "huggingface-2"
"""The first loader squeezed every frame to a square, took the pooler of the picture tower or averaged all tokens, CLS
included. The second has the processor's geometry, the model's own method and a CLS token by itself."""
_SAME = frozenset({"siglip", "siglip_vision_model", "vit"})
"""Families for which both are one arithmetic where the processor squeezes and the pooler was trained."""


def loader_version(folder: Path) -> str:
    """The first version where it gives the same vectors: features made by it stay, and are not computed again."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    same = config.get("model_type") in _SAME and _squeezes(folder, config) and _has_pooler(folder, config)
    return _SQUEEZING if same else _GENERAL


def _squeezes(folder: Path, config: dict[str, Any]) -> bool:
    """Whether the processor does nothing but squeeze to the model's size, scale to 0..1 and normalise."""
    path = next((folder / file for file in PREPROCESSOR_FILES if (folder / file).is_file()), None)
    if path is None:
        return False
    values = json.loads(path.read_text("utf-8"))
    values = values.get("video_processor") or values.get("image_processor") or values
    size = config.get("vision_config", config).get("image_size", 224)
    plain = "image_mean" in values and "image_std" in values and values.get("do_rescale", True)
    plain = plain and values.get("rescale_factor", 1 / 255) == 1 / 255 and not values.get("do_center_crop")
    return bool(plain) and values.get("size") in (size, {"height": size, "width": size})


def _has_pooler(folder: Path, config: dict[str, Any]) -> bool:
    """SigLIP's cannot be missing. ViT's is, in the files of classifiers."""
    if config["model_type"] != "vit":
        return True
    from safetensors import safe_open

    for path in folder.glob("*.safetensors"):
        with safe_open(path, "np") as weights:
            if any("pooler.dense.weight" in key for key in weights.keys()):  # noqa: SIM118 - no dict
                return True
    return False
