"""Pure parts of sharding: which catalog row stands for a video, and what a sample says about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from videobert.runtime.spec import canonical_json

__all__ = ["METADATA_FIELDS", "member_name", "metadata_bytes", "unique_videos"]

METADATA_FIELDS = (
    "video_id", "uri", "container", "codec", "width", "height", "rotation", "fps", "duration_seconds", "has_audio",
    "title", "caption_source", "caption_language", "cues",
)  # fmt: skip

_SAFE_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


def unique_videos(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """video_id -> its row; of several files with the same bytes the one with the smallest uri stands for all."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["uri"]):
        found.setdefault(row["video_id"], row)
    return found


def member_name(row: dict[str, Any]) -> str:
    """`<video_id>.mp4`: the key of the sample is the content, the ending that of the source."""
    suffix = PurePosixPath(row["uri"]).suffix.lower()
    return f"{row['video_id']}{suffix if _SAFE_SUFFIX.fullmatch(suffix) else '.video'}"


def metadata_bytes(row: dict[str, Any]) -> bytes:
    """The `.json` member beside the video: where it came from, what the probe saw, its captions."""
    return canonical_json({name: row[name] for name in METADATA_FIELDS})
