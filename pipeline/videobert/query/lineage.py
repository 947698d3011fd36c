"""From one row back to the video it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from videobert.errors import InputError
from videobert.query.embeddings import open_embeddings
from videobert.query.search import row_filter
from videobert.runtime.manifest import Manifest, Source, batches_of, load_manifest, load_manifests, manifest_path
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


def trace(store: Store, spec: str, row_id: str, *, stage: str = "embed") -> Lineage:
    """The way from a row of the embeddings, or of another stage with such rows, to its video.

    Of the rows it reads the footers, which tell where the row may be, and there the columns that it needs.
    Raises InputError for an unknown row, and for a manifest that is gone.
    """
    rows = open_embeddings(store, spec) if stage == "embed" else _rows_of(store, stage, spec)
    found = rows.to_table(columns=_COLUMNS, filter=row_filter(row_id)).to_pylist()
    if not found:
        raise InputError(
            f"there is no row {row_id!r} in {spec}; row ids are VIDEO_ID:SEGMENT, or VIDEO_ID for a whole video"
        )
    row: dict[str, Any] = found[0]
    manifest = load_manifest(store, stage, spec, row["batch"])
    assert manifest is not None  # its file was just read
    output = next(output for output in manifest.outputs if row["__filename"].endswith(output.path))
    steps = {stage: LineageStep(stage=stage, spec=spec, url=store.url(output.path), sha256=output.sha256)}
    _follow(store, manifest, row["shard"], steps)
    return Lineage(
        row_id=row_id, video_id=row["video_id"], batch=row["batch"], start_seconds=row["start_seconds"],
        end_seconds=row["end_seconds"], text=row["text"], source_uri=row["source_uri"],
        steps=tuple(steps[name] for name in reversed(stage_names()) if name in steps),
    )  # fmt: skip


def _rows_of(store: Store, stage: str, spec: str) -> ds.Dataset:
    """What is committed of a stage whose rows are like those of the embeddings."""
    manifests = load_manifests(store, stage, spec, batches_of(store, stage, spec))
    paths = [output.path for _, manifest in manifests if manifest for output in manifest.outputs]
    if not paths:
        raise InputError(f"nothing is committed of {stage} {spec} below {store.root}; `videobert status` shows what is")
    return store.dataset(paths, partitioning=ds.partitioning(pa.schema([("batch", pa.string())]), flavor="hive"))


def _follow(store: Store, manifest: Manifest, shard: int, steps: dict[str, LineageStep]) -> None:
    """Add what the manifest was made from, and what that was made from, where it is of the same batch."""
    for source in manifest.sources:
        if source.stage in steps:
            continue
        if source.batch:
            upstream = _committed(store, source)
            steps[source.stage] = _step(store, upstream, shard)
            _follow(store, upstream, shard, steps)
        else:
            _follow_corpus(store, source, steps)


def _follow_corpus(store: Store, source: Source, steps: dict[str, LineageStep]) -> None:
    """Add what was made from many batches, and what of that kind it was made from itself."""
    url = store.url(manifest_path(get_stage(source.stage), source.spec, ""))
    steps[source.stage] = LineageStep(stage=source.stage, spec=source.spec, url=url)
    manifest = load_manifest(store, source.stage, source.spec, "")
    for upstream in manifest.sources if manifest else ():
        if not upstream.batch and upstream.stage not in steps:
            _follow_corpus(store, upstream, steps)


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
