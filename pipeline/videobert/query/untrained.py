"""Search by text before any training: clips as a joint encoder sees them, compared with what its text tower says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.query.search import Hit, at_least, spread_over_videos
from videobert.runtime.manifest import Manifest, committed_batches, load_manifest, specs_of
from videobert.runtime.parquet import read_table, vectors_of
from videobert.runtime.storage import Store

__all__ = ["nearest_clips"]

_COLUMNS = ["video_id", "clip", "start_seconds", "end_seconds", "feature"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clip:
    score: float
    video_id: str
    number: int
    start_seconds: float
    end_seconds: float
    batch: str


def nearest_clips(
    store: Store, encoder: str, text: str, *, top: int, per_video: int = 0, batches: Sequence[str] = ()
) -> list[Hit]:
    """The `top` clips nearest to a text by the cosine in the encoder's own space, best first.

    `row_id` of a hit is VIDEO_ID:CLIP, its text what is said there. Reads every feature once, a row group at a time.
    Raises InputError for an encoder without a text tower, and where no features of it are committed.
    """
    if top < 1:
        raise InputError(f"top is {top}; ask for at least 1")
    from videobert.features.encoders import encoder_identity, load_text_encoder

    config = FeaturesConfig(encoder=encoder)
    query_D = load_text_encoder(config).encode_texts([text])[0]
    query_D = query_D / max(float(np.linalg.norm(query_D)), 1e-12)
    manifests = _manifests(store, encoder, encoder_identity(config).digest, batches)

    def find(count: int) -> list[Hit]:
        clips = [clip for manifest in manifests for clip in _best(store, manifest, query_D, count)]
        best = sorted(clips, key=lambda clip: (-clip.score, clip.video_id, clip.number))[:count]
        return _hits(store, {manifest.batch: manifest for manifest in manifests}, best)

    return spread_over_videos(find, top=top, per_video=per_video)


def _manifests(store: Store, encoder: str, weights: str, batches: Sequence[str]) -> list[Manifest]:
    """Features of these weights; where there are several kinds, of that with the most batches."""
    kinds = []
    for spec in specs_of(store, "features"):
        there = committed_batches(store, "features", spec)
        wanted = sorted(there & set(batches) if batches else there)
        found = [m for batch in wanted if (m := load_manifest(store, "features", spec, batch))]
        if found and found[0].config["encoder"] == weights:
            kinds.append(found)
    if not kinds:
        where = f"{store.root} for {', '.join(batches)}" if batches else store.root
        raise InputError(
            f"no features of {encoder} are committed below {where}; "
            f"make them with `videobert stage features --features.encoder {encoder}`"
        )
    return max(kinds, key=len)


def _best(store: Store, manifest: Manifest, query_D: NDArray[np.float32], count: int) -> Iterator[_Clip]:
    for output in manifest.outputs:
        with store.open(output.path) as source:
            file = pq.ParquetFile(source)
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=_COLUMNS, use_threads=False)
                rows_ND = vectors_of(table, "feature")
                # Row by row, so that equal clips get equal scores.
                score_N = np.vecdot(rows_ND, query_D) / np.maximum(np.linalg.norm(rows_ND, axis=1), 1e-12)
                kept = at_least(score_N, count)
                for score, row in zip(score_N[kept].tolist(), table.take(kept).to_pylist(), strict=True):
                    yield _Clip(
                        score=score, video_id=row["video_id"], number=row["clip"], batch=manifest.batch,
                        start_seconds=row["start_seconds"], end_seconds=row["end_seconds"],
                    )  # fmt: skip


def _hits(store: Store, manifests: Mapping[str, Manifest], clips: Sequence[_Clip]) -> list[Hit]:
    """With title, source and what is said, from the catalog that the features come from."""
    wanted: dict[str, set[str]] = {}
    for clip in clips:
        wanted.setdefault(clip.batch, set()).add(clip.video_id)
    rows = {
        (batch, row["video_id"]): row
        for batch, ids in wanted.items()
        for row in _catalog(store, manifests[batch])
        if row["video_id"] in ids
    }
    return [
        Hit(
            score=clip.score, row_id=f"{clip.video_id}:{clip.number}", title=row["title"], text=_said(row, clip),
            start_seconds=clip.start_seconds, end_seconds=clip.end_seconds, source_uri=row["uri"], batch=clip.batch,
        )
        for clip in clips
        for row in (rows[clip.batch, clip.video_id],)
    ]  # fmt: skip


def _catalog(store: Store, features: Manifest) -> Iterator[dict[str, Any]]:
    shards = load_manifest(store, "shard", features.source_spec("shard"), features.batch)
    catalog = shards and load_manifest(store, "ingest", shards.source_spec("ingest"), features.batch)
    if not catalog:
        raise InputError(f"the catalog of batch {features.batch} is gone; run the stages ingest and shard of it again")
    for output in catalog.outputs:
        yield from read_table(store, output.path, columns=["video_id", "title", "uri", "cues"]).to_pylist()


def _said(row: Mapping[str, Any], clip: _Clip) -> str:
    return " ".join(
        cue["text"]
        for cue in row["cues"] or ()
        if cue["start_seconds"] < clip.end_seconds and cue["end_seconds"] > clip.start_seconds
    )
