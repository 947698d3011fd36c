"""A corpus in windows that fit into memory, each of some shards of all batches, planned from the manifests' counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from videobert.pretrain.seeding import generator
from videobert.tokens.records import TokenizedVideo

__all__ = ["Windows", "plan_windows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """What training reads, window by window."""

    segments: tuple[int, ...]
    """Segments of every window by the manifests, held-out ones included."""
    read: Callable[[int, Callable[[], None]], Sequence[TokenizedVideo]]
    """Training videos of a window by its number; calls the second argument after every video, which may wait."""

    @classmethod
    def whole(cls, videos: Sequence[TokenizedVideo]) -> Windows:
        """Videos in memory as one window."""
        return cls(segments=(sum(len(video.segments) for video in videos),), read=lambda _, rest: videos)


def plan_windows(segments: Sequence[int], *, window_segments: int, seed: int) -> list[list[int]]:
    """Shards of every window, given the segments of each shard: as few windows as hold `window_segments` on average.

    Shards are dealt in a seeded order, so that a window mixes batches; it exceeds its share by less than a shard.
    """
    total = sum(segments)
    count = max(1, -(-total // window_segments))
    order = generator(seed, "windows").permutation(len(segments)) if count > 1 else np.arange(len(segments))
    windows: list[list[int]] = [[] for _ in range(count)]
    dealt = 0
    for shard in order.tolist():
        # The middle of a shard says where it goes, so that windows differ by a shard at most.
        windows[min((2 * dealt + segments[shard]) * count // max(1, 2 * total), count - 1)].append(shard)
        dealt += segments[shard]
    return [sorted(window) for window in windows if window]
