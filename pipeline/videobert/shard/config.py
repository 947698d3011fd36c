"""What may vary when videos are packed into shards."""

from __future__ import annotations

from dataclasses import dataclass

from videobert.errors import InputError

__all__ = ["ShardConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardConfig:
    """How large a WebDataset tar gets."""

    shard_bytes: int = 256 * 1024 * 1024
    """Video bytes a tar holds at most; a longer video gets a tar of its own."""

    def __post_init__(self) -> None:
        if self.shard_bytes < 1:
            raise InputError(
                f"shard.shard_bytes is {self.shard_bytes}; give a positive number of bytes, such as 268435456"
            )
