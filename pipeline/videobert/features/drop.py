"""A file of features without one of its videos."""

from __future__ import annotations

import json
from pathlib import Path

from videobert.runtime.parquet import copy_without

__all__ = ["drop_video"]

_DAMAGED = b"damaged_seconds"


def drop_video(source: Path, target: Path, video_id: str) -> dict[str, int]:
    """Copy a file without a video's clips; returns the counts that left."""
    milliseconds = 0

    def without_damage(metadata: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """The lost ranges of damaged videos are in the file's metadata."""
        nonlocal milliseconds
        damaged: dict[str, list[tuple[float, float]]] = json.loads(metadata.pop(_DAMAGED, b"{}"))
        ranges = damaged.pop(video_id, [])
        milliseconds = sum(round(1000 * (end - start)) for start, end in ranges)
        return metadata | ({_DAMAGED: json.dumps(damaged).encode()} if damaged else {})

    clips = copy_without(source, target, video_id, change_metadata=without_damage)
    return {"videos": 1, "clips": clips, "damaged_milliseconds": milliseconds} if clips else {}
