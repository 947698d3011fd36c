"""From one row back to the video it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from videobert.errors import InputError
from videobert.query.embeddings import embedding_manifests, open_embeddings
from videobert.query.search import row_filter
from videobert.runtime.manifest import Manifest, Source, load_manifest, manifest_path
from videobert.runtime.storage import Store
from videobert.stages import get_stage, stage_names

__all__ = ["Lineage", "LineageStep", "trace"]

_COLUMNS = ["row_id", "video_id", "start_seconds", "end_seconds", "text", "source_uri", "shard", "batch", "__filename"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageStep:
    """What one stage made on the way to a row."""

    stage: str
    spec: str
    url: str
    """The file of the row's shard; the manifest of a stage over the corpus, and of the first stage, which has none."""
    sha256: str = ""
    """Of that file; empty for a manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a row comes from."""

    row_id: str
    video_id: str
    """sha256 of the video's bytes."""
    batch: str
    start_seconds: float
    end_seconds: float
    text: str
    source_uri: str
    """The video."""
    steps: tuple[LineageStep, ...]
    """From the embeddings back to the catalog."""

    def step(self, stage: str) -> LineageStep:
        """What a stage made. Raises InputError for a stage that the row does not come from."""
        for step in self.steps:
            if step.stage == stage:
                return step
        raise InputError(
            f"no stage {stage!r} led to this row; those that did: {', '.join(s.stage for s in self.steps)}"
        )


def trace(store: Store, embed_spec: str, row_id: str) -> Lineage:
    """The way from a row to its video.

    Of the embeddings it reads the footers, which tell where the row may be, and there the columns that it needs.
    Raises InputError for an unknown row, and for a manifest that is gone.
    """
    found = open_embeddings(store, embed_spec).to_table(columns=_COLUMNS, filter=row_filter(row_id)).to_pylist()
    if not found:
        raise InputError(
            f"there is no row {row_id!r} in {embed_spec}; row ids are VIDEO_ID:SEGMENT, or VIDEO_ID for a whole video"
        )
    row: dict[str, Any] = found[0]
    (manifest,) = embedding_manifests(store, embed_spec, [row["batch"]])
    output = next(output for output in manifest.outputs if row["__filename"].endswith(output.path))
    steps = {"embed": LineageStep(stage="embed", spec=embed_spec, url=store.url(output.path), sha256=output.sha256)}
    _follow(store, manifest, row["shard"], steps)
    return Lineage(
        row_id=row_id, video_id=row["video_id"], batch=row["batch"], start_seconds=row["start_seconds"],
        end_seconds=row["end_seconds"], text=row["text"], source_uri=row["source_uri"],
        steps=tuple(steps[stage] for stage in reversed(stage_names()) if stage in steps),
    )  # fmt: skip


def _follow(store: Store, manifest: Manifest, shard: int, steps: dict[str, LineageStep]) -> None:
    """Add what the manifest was made from, and what that was made from, where it is of the same batch."""
    for source in manifest.sources:
        if source.stage in steps:
            continue
        if source.batch:
            upstream = _committed(store, source)
            steps[source.stage] = _step(store, upstream, shard)
            _follow(store, upstream, shard, steps)
        else:  # made from the whole corpus
            url = store.url(manifest_path(get_stage(source.stage), source.spec, ""))
            steps[source.stage] = LineageStep(stage=source.stage, spec=source.spec, url=url)


def _step(store: Store, manifest: Manifest, shard: int) -> LineageStep:
    """Shards keep their number from stage to stage; the first stage reads no other and knows no shards yet."""
    stage, spec = manifest.stage, manifest.spec
    for output in manifest.outputs if manifest.sources else ():
        if output.shard == shard:
            return LineageStep(stage=stage, spec=spec, url=store.url(output.path), sha256=output.sha256)
    return LineageStep(stage=stage, spec=spec, url=store.url(manifest_path(get_stage(stage), spec, manifest.batch)))


def _committed(store: Store, source: Source) -> Manifest:
    found = load_manifest(store, source.stage, source.spec, source.batch)
    if found is None:
        raise InputError(
            f"{source.stage} {source.spec} of batch {source.batch} is gone, so the lineage ends here; "
            "run that stage again"
        )
    return found
