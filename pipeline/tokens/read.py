"""Reading committed token shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.runtime.manifest import Manifest
from pipeline.runtime.storage import Store
from pipeline.runtime.tar import read_json, read_members

__all__ = ["read_samples", "read_shard"]


def read_shard(store: Store, path: str) -> Iterator[dict[str, Any]]:
    """Samples of one tar, in order; `tokens.core.from_json` makes records of them."""
    with store.open(path) as source:
        for name, reader in read_members(source):
            yield read_json(name, reader)


def read_samples(store: Store, manifests: tuple[Manifest, ...]) -> Iterator[dict[str, Any]]:
    """Samples of several batches; a video that lies in more than one batch comes once."""
    seen: set[str] = set()
    for manifest in manifests:
        for output in manifest.outputs:
            for sample in read_shard(store, output.path):
                if sample["video_id"] not in seen:
                    seen.add(sample["video_id"])
                    yield sample
