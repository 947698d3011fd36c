"""What may vary when segments become vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from videobert.errors import InputError

__all__ = ["FEATURE_PROMPT", "EmbedConfig"]

FEATURE_PROMPT = "now let's [MASK] the [MASK] to the [MASK], and then [MASK] the [MASK]."
"""The prompt of the paper's downstream features (section 4.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedConfig:
    """Which vectors a row holds besides the retrieval embedding."""

    NOT_IN_SPEC: ClassVar[tuple[str, ...]] = ("device",)

    pool: Literal["paper", "cls", "mean"] = "paper"
    """`feature` of a row: the paper's recipe (2 x hidden), the state of [CLS], or the mean of the visual states."""
    device: str = "auto"
    """Torch device of the model; `auto` takes a GPU where there is one. Moves the last digits, about 1e-5."""

    def __post_init__(self) -> None:
        if self.pool not in ("paper", "cls", "mean"):
            raise InputError(f"embed.pool is {self.pool!r}; choose paper, cls or mean")
