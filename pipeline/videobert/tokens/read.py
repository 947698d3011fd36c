"""Reading committed token shards."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

from videobert.runtime.manifest import Output, groups_by_bytes
from videobert.runtime.storage import Store
from videobert.runtime.tar import read_json, read_members

__all__ = ["read_samples", "read_shard"]

_GROUP_BYTES = 16 << 20
"""Fetched before they are parsed; shards of tokens are small, and this many of them hide the way to the store."""


def read_shard(store: Store, path: str) -> Iterator[dict[str, Any]]:
    """Samples of one tar, in order; `tokens.core.from_json` makes records of them."""
    with store.open(path) as source:
        for name, reader in read_members(source):
            yield read_json(name, reader)


def read_samples(store: Store, outputs: Iterable[Output]) -> Iterator[dict[str, Any]]:
    """Samples of token shards of any batches, some fetched at once; a video that lies in several shards comes once."""
    seen: set[str] = set()
    for group in groups_by_bytes(outputs, limit=_GROUP_BYTES):
        for path, data in store.read_many([output.path for output in group]):
            if data is None:
                raise FileNotFoundError(store.url(path))
            for name, reader in read_members(io.BytesIO(data)):
                sample = read_json(name, reader)
                if sample["video_id"] not in seen:
                    seen.add(sample["video_id"])
                    yield sample
