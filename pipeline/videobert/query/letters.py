"""The videos that could not be used, as the commits of the stages recorded them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from videobert.runtime.parquet import read_table
from videobert.runtime.storage import Store

__all__ = ["DeadLetter", "read_dead_letters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One video that one stage could not use. Its texts come from file names and decoders: do not trust them."""

    video_id: str
    """sha256 of the video's bytes; empty when they could not be read."""
    uri: str
    batch: str
    stage: str
    spec: str
    """Of the stage's commit."""
    shard: int
    reason: str
    """Short stable class, such as `undecodable`."""
    message: str
    attempts: int = 1
    """Tries that failed."""
    salvageable_seconds: float = 0.0
    """The video is good from its start to here; 0 when nothing of it is, or nobody looked."""


def read_dead_letters(store: Store, batches: Sequence[str] = ()) -> Iterator[DeadLetter]:
    """Those of some batches, or of all; by batch, then by spec. One file is held at a time."""
    folders = [f"dead_letters/batch={batch}" for batch in batches] or ["dead_letters"]
    for path in (path for folder in folders for path in store.list(folder)):
        if path.endswith(".parquet"):
            yield from (DeadLetter(**row) for row in read_table(store, path).to_pylist())
