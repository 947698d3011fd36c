"""What ingest knows of a video that is to be forgotten: where it lies, and which names of its plan were its own."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from videobert.runtime.filesystem import exists
from videobert.runtime.manifest import Manifest
from videobert.runtime.parquet import read_table
from videobert.runtime.storage import Store

__all__ = ["unknown_uris", "uris_of"]


def uris_of(store: Store, catalog: Manifest, video_id: str) -> set[str]:
    """Where the source still holds a video, by its rows and rejects."""
    uris = {reject.uri for reject in catalog.rejects if reject.video_id == video_id}
    for output in catalog.outputs:
        table = read_table(store, output.path, columns=["video_id", "uri"])
        uris.update(table.filter(pc.equal(table["video_id"], video_id))["uri"].to_pylist())
    return {uri for uri in uris if exists(uri)}


def unknown_uris(store: Store, catalog: Manifest | None, plan: Sequence[Sequence[str]]) -> set[str]:
    """Names in the plan of videos that are neither in the catalog nor at the source any more."""
    if catalog is None or not plan:
        return set()
    known = {reject.uri for reject in catalog.rejects}
    for output in catalog.outputs:
        known.update(read_table(store, output.path, columns=["uri"])["uri"].to_pylist())
    return {uri for shard in plan for uri in shard if uri not in known and not exists(uri)}
