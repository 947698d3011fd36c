"""What a root knows of one video's clips: when they are, their features and tokens, and what is said. N clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.query.embeddings import open_embeddings
from videobert.query.filters import RowFilter
from videobert.query.lineage import Lineage, trace
from videobert.runtime.manifest import load_manifest
from videobert.runtime.parquet import read_table, vectors_of
from videobert.runtime.storage import Store
from videobert.tokens.read import read_shard
from videobert.video.options import DecodeOptions

__all__ = ["VideoClips", "open_clips"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoClips:
    """The clips of a video in time order."""

    lineage: Lineage
    start_N: NDArray[np.float64]
    end_N: NDArray[np.float64]
    features_ND: NDArray[np.float32]
    tokens_N: NDArray[np.int64]
    segments: list[dict[str, Any]]
    """Rows of its segments: seconds, text and embedding."""
    options: DecodeOptions
    """When clips are."""

    def segment_of(self, clip: int) -> dict[str, Any]:
        """The row of the segment that a clip belongs to: with words before one without; empty when there is none."""
        middle = (self.start_N[clip] + self.end_N[clip]) / 2
        around = [s for s in self.segments if s["start_seconds"] <= middle < s["end_seconds"]]
        return max(around, key=lambda s: bool(s["text"]), default={})

    def path(self, store: Store, stage: str) -> str:
        """The file of its shard that a stage made, relative to the root."""
        return self.lineage.step(stage).url.removeprefix(f"{store.root}/")


def open_clips(store: Store, embed_spec: str, video_id: str) -> VideoClips:
    """Read one video. Raises InputError for one that is not embedded, and where its features or tokens are gone."""
    lineage = trace(store, embed_spec, video_id)
    features, tokens = lineage.step("features"), lineage.step("tokens")
    try:
        table = read_table(store, features.url.removeprefix(f"{store.root}/"))
        samples = [s for s in read_shard(store, tokens.url.removeprefix(f"{store.root}/")) if s["video_id"] == video_id]
    except FileNotFoundError as error:
        raise InputError(f"features or tokens of {video_id} are gone ({error}); run their stages again") from error
    table = table.filter(pc.equal(table["video_id"], video_id))
    manifest = load_manifest(store, "features", features.spec, lineage.batch)
    known = manifest.config if manifest else {}
    timing = {name: known[name] for name in ("fps", "clip_seconds", "clip_stride", "last_clip") if name in known}
    rows = open_embeddings(store, embed_spec, [lineage.batch]).to_table(
        columns=["start_seconds", "end_seconds", "text", "title", "embedding"],
        filter=RowFilter(video=video_id).expression,
    )
    return VideoClips(
        lineage=lineage, start_N=table["start_seconds"].to_numpy(), end_N=table["end_seconds"].to_numpy(),
        features_ND=vectors_of(table), tokens_N=np.array(samples[0]["visual"], np.int64), segments=rows.to_pylist(),
        options=DecodeOptions(**timing),
    )  # fmt: skip
