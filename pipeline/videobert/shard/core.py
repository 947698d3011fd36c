"""Pure parts of sharding: which catalog row represents a video, and what a sample says about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from videobert.runtime.spec import canonical_json

__all__ = ["METADATA_FIELDS", "member_name", "metadata_bytes", "precedence", "unique_videos"]

METADATA_FIELDS = (
    "video_id", "uri", "container", "codec", "width", "height", "rotation", "fps", "duration_seconds", "has_audio",
    "title", "caption_source", "caption_language", "cues",
)  # fmt: skip

_SAFE_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


def unique_videos(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """video_id -> its row; of several files with the same bytes the first by `precedence` represents all."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=precedence):
        found.setdefault(row["video_id"], row)
    return found


def precedence(row: Mapping[str, Any]) -> tuple[int, str]:
    """Among files with the same bytes: what was said, before titles of chapters, before nothing; then by uri."""
    said = 2 if not row["cues"] else 1 if row["caption_source"] == "chapters" else 0
    return said, row["uri"]


def member_name(row: dict[str, Any]) -> str:
    """`<video_id>.mp4`: the key of the sample is the content, the ending that of the source."""
    suffix = PurePosixPath(row["uri"]).suffix.lower()
    return f"{row['video_id']}{suffix if _SAFE_SUFFIX.fullmatch(suffix) else '.video'}"


def metadata_bytes(row: dict[str, Any]) -> bytes:
    """The `.json` member next to the video: where it came from, what the probe saw, its captions."""
    return canonical_json({name: row[name] for name in METADATA_FIELDS})
