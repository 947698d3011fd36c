"""From what a model returns to one vector each: its own pooled vector, else its CLS token, else its patches' mean.

Shapes: N pictures or clips, L tokens, D width, C channels, H x W places of a map.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from videobert.features.encoders.pixel_method import first_value

__all__ = ["Pooled", "pool"]

_PREFIX = re.compile(r"(^|[._])(cls|class|distillation|register|reg)(_?tokens?|_embedding)$")
"""Names of the weights of tokens that stand before the patches."""
_CLS = re.compile(r"(^|[._])(cls|class)(_token|_embedding)$")
_POOLED = ("video_embeds", "image_embeds", "pooler_output")
_WIDTHS = ("hidden_size", "embed_dim", "hidden_dim", "d_model", "num_features")


@dataclass(frozen=True, slots=True)
class Pooled:
    """Vectors, and how they came about."""

    vectors_ND: Tensor
    how: str
    """Such as `pooler_output`, `CLS` or `mean of patches`."""


def pool(output: Any, owner: Any, *, use_pooler: bool) -> Pooled:
    """One vector per picture or clip. Raises `ValueError` when the output has none.

    `use_pooler` is off where the pooler was drawn at random. A CLS token is then taken alone, as the classifiers of
    such models do, and never averaged with the patches. Models trained to reconstruct masked pictures (`mask_ratio`)
    have learned nothing in it, and some classifiers leave it (`use_mean_pooling`): there the patches are averaged.
    """
    for name in _POOLED if use_pooler else ():
        if (value := getattr(output, name, None)) is not None:
            return Pooled(_mean(value, owner), name)
    hidden = output if isinstance(output, Tensor | list | tuple) else getattr(output, "last_hidden_state", None)
    if hidden is None:
        raise ValueError(f"its {type(output).__name__} holds neither a pooled vector nor hidden states")
    prefix, has_cls = _prefix_tokens(owner)
    if has_cls and isinstance(hidden, Tensor) and hidden.ndim == 3:
        if first_value(owner, "mask_ratio") is None and not first_value(owner, "use_mean_pooling"):
            return Pooled(hidden[:, 0], "CLS")
        hidden = hidden[:, prefix:]
    if isinstance(hidden, Tensor) and hidden.ndim == 2:
        return Pooled(hidden, "as returned")
    return Pooled(_mean(hidden, owner), "mean of patches")


def _prefix_tokens(owner: Any) -> tuple[int, bool]:
    """How many tokens stand before the patches, and whether the first of them is a CLS token."""
    named = dict(owner.named_parameters())
    found = {name: value for name, value in named.items() if _PREFIX.search(name)}
    count = sum(value.shape[-2] if value.ndim == 3 else 1 for value in found.values())
    return count, any(_CLS.search(name) for name in found)


def _mean(values: Any, owner: Any) -> Tensor:
    """Over all but the first and the width; a list holds one tensor a picture, or the maps of several scales."""
    if isinstance(values, list | tuple):
        values = [value for value in values if isinstance(value, Tensor)]
        if not values:
            raise ValueError("its output is an empty list")
        return torch.stack([value.flatten(0, -2).mean(0) for value in values])
    tensor: Tensor = values
    if tensor.ndim <= 2:
        return tensor
    if tensor.ndim == 4 and not _is_channel_last(tensor, owner):
        return tensor.flatten(2).mean(2)
    return tensor.flatten(1, -2).mean(1)


def _is_channel_last(values: Tensor, owner: Any) -> bool:
    """Maps are [N, C, H, W] unless only the last side is a width that the configuration names."""
    widths = [first_value(owner, name) for name in _WIDTHS]
    widths += list(first_value(owner, "hidden_sizes") or ())
    return values.shape[-1] in widths and values.shape[1] not in widths
