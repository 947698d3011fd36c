"""Tombstones: the ids of videos that were forgotten and must not come back."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store

__all__ = ["read_tombstone", "tombstones", "write_tombstone"]

_FOLDER = "forgotten"


def tombstones(store: Store) -> set[str]:
    """The ids of all videos that must not come back."""
    return {PurePosixPath(path).stem for path in store.list(_FOLDER) if path.endswith(".json")}


def read_tombstone(store: Store, video_id: str) -> list[str] | None:
    """The batches that held the video, or None when it was never forgotten."""
    data = store.read_or_none(_path(video_id))
    return list(json.loads(data)["batches"]) if data is not None else None


def write_tombstone(store: Store, video_id: str, batches: list[str]) -> None:
    """Keep the video out from now on."""
    store.write(_path(video_id), canonical_json({"video_id": video_id, "batches": sorted(batches)}))
    store.clear_temporaries(_FOLDER)


def _path(video_id: str) -> str:
    return f"{_FOLDER}/{video_id}.json"
