"""Which method of a model turns pixels into a vector, found by what its methods take and not by the model's name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from videobert.errors import InputError

__all__ = ["PixelMethod", "find_pixel_method", "first_value"]

_METHODS = ("get_video_features", "get_video_embeds", "get_vision_features", "get_image_features")
"""The models' own ways to a vector of a clip, then of a picture; what has none of them is asked by its `forward`."""
_TEXT_METHODS = ("get_text_features", "get_text_video_embeds")
_FOR_PATCHES = frozenset({"spatial_shapes", "pixel_attention_mask"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelMethod:
    """A method, and how pixels are given to it."""

    owner: Any
    """The model, or the tower of it that takes pixels."""
    name: str
    path: str
    """Where the owner is in the model: empty, or such as `vision_tower`."""
    pixels: str
    """The argument that takes them: `pixel_values` or `pixel_values_videos`."""
    takes: Literal["clips", "frames", "patches"]
    """`clips` [B, F, C, H, W], `frames` [B, C, H, W], or `patches` [B, N, P x P x C] of frames with a mask."""
    text_method: str | None
    """The method of the same model that puts texts into the space of these vectors; none: it has no text tower."""

    def __str__(self) -> str:
        return ".".join(part for part in (self.path, self.name) if part)

    @property
    def call(self) -> Callable[..., Any]:
        """The method, bound."""
        method: Callable[..., Any] = self.owner if self.name == "forward" else getattr(self.owner, self.name)
        return method

    def arguments_among(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Those that the method names."""
        parameters = inspect.signature(getattr(type(self.owner), self.name)).parameters
        return {name: value for name, value in arguments.items() if name in parameters}


def find_pixel_method(model: Any, name: str) -> PixelMethod:
    """The first method that needs nothing but pixels: of the model, then of the towers in it, the outermost first.

    Raises `InputError` when there is none, as in generators whose towers want a grid with every picture.
    """
    refused: list[str] = []
    for path, owner in _owners(model):
        for method in (*_METHODS, "forward"):
            function = getattr(type(owner), method, None)
            if function is None:
                continue
            parameters = inspect.signature(function).parameters
            pixels = next((p for p in ("pixel_values_videos", "pixel_values") if p in parameters), None)
            if pixels is None or (method == "forward" and not _is_for_pixels(owner, parameters, pixels)):
                continue
            if wanted := _wanted(parameters):
                refused.append(f"{'.'.join(filter(None, (path, method)))} wants {', '.join(wanted)} too")
                continue
            return PixelMethod(
                owner=owner, name=method, path=path, pixels=pixels, takes=_kind(owner, method, pixels, parameters),
                text_method=_text_method(owner) if method != "forward" and not path else None,
            )  # fmt: skip
    reason = "; ".join(refused) or "it has no method for pixels"
    raise InputError(
        f"encoder='hf:{name}' is a {type(model).__name__}, which gives no vector for pixels alone ({reason}); "
        "take an encoder of docs/encoders.md"
    )


def first_value(owner: Any, *names: str) -> Any:
    """The first of these settings that the configuration of a model, or of its picture tower, holds."""
    config = owner.config
    parts = [config, *(getattr(config, part, None) for part in ("vision_config", "video_config"))]
    return next((v for part in parts for name in names if (v := getattr(part, name, None)) is not None), None)


def _owners(model: Any) -> Iterator[tuple[str, Any]]:
    from transformers import PreTrainedModel

    yield "", model
    towers = [(path, part) for path, part in model.named_modules() if path and isinstance(part, PreTrainedModel)]
    yield from sorted(towers, key=lambda tower: tower[0].count("."))


def _is_for_pixels(owner: Any, parameters: Mapping[str, inspect.Parameter], pixels: str) -> bool:
    """Whether `forward` is: towers of generators inherit the main input of the whole, text, but cannot do without."""
    return (
        str(owner.main_input_name).startswith("pixel_values") or parameters[pixels].default is inspect.Parameter.empty
    )


def _wanted(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """Arguments without which a method cannot work, but for pixels and what comes with patches."""
    named = [p for p in parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name != "self"]
    wanted = [p.name for p in named if p.default is p.empty and "pixel_values" not in p.name]
    grids = [p.name for p in named if "grid" in p.name]
    return [name for name in dict.fromkeys((*wanted, *grids)) if name not in _FOR_PATCHES]


def _kind(
    owner: Any, method: str, pixels: str, parameters: Mapping[str, inspect.Parameter]
) -> Literal["clips", "frames", "patches"]:
    if set(parameters) >= _FOR_PATCHES:
        return "patches"
    is_video = pixels == "pixel_values_videos" or "video" in method
    if method == "forward":
        is_video = is_video or first_value(owner, "num_frames", "frames_per_clip") is not None
    return "clips" if is_video else "frames"


def _text_method(owner: Any) -> str | None:
    return next((name for name in _TEXT_METHODS if hasattr(owner, name)), None)
