"""Which videos are held out: a function of the content alone, so a video never changes sides."""

from __future__ import annotations

import hashlib

__all__ = ["is_held_out"]


def is_held_out(video_id: str, fraction: float) -> bool:
    """Whether a video belongs to the held-out share; grows with `fraction`, never swaps members."""
    draw = int.from_bytes(hashlib.sha256(f"held-out {video_id}".encode()).digest()[:8], "big")
    return draw < fraction * 2**64
