"""A tar of tokens without one of its videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from videobert.runtime.tar import TarWriter, read_members

__all__ = ["drop_video"]


def drop_video(source: Path, target: Path, video_id: str) -> dict[str, int]:
    """Copy a tar without a video's sample; returns the counts that left."""
    lost: dict[str, int] = {}
    with source.open("rb") as reader, target.open("wb") as sink:
        tar = TarWriter(sink)
        for name, member in read_members(reader):
            data = member.read()
            if name == f"{video_id}.json":
                sample: dict[str, Any] = json.loads(data)
                words = sum(len(segment["text_ids"]) for segment in sample["segments"])
                lost = {
                    "videos": 1, "clips": len(sample["visual"]), "segments": len(sample["segments"]), "words": words,
                }  # fmt: skip
            elif not name.startswith(f"{video_id}."):
                tar.add(name, data)
        tar.close()
    return lost
