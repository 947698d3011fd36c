"""Forget: a video leaves the catalog, tars, features, tokens, embeddings and dead letters of every spec.

A tombstone first keeps it from coming back through ingest. Then, batch by batch, new files without the video are
written beside the old ones; new manifests replace the old, what is read last first, so that every upstream still
stands as it was while its readers are rewritten; the old files go at the end. Each manifest is one whole write over
files that stand, so readers never see half a change, and the same command resumes where a killed one ended. Input
digests are brought along: afterwards every stage finds its work done.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from videobert.embed.run import shard_tasks as embed_tasks
from videobert.errors import InputError
from videobert.features.run import shard_tasks as features_tasks
from videobert.query.index import drop_stale, indexed_specs
from videobert.runtime.dead_letters import write_dead_letters
from videobert.runtime.filesystem import open_filesystem
from videobert.runtime.held_out import is_held_out
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import (
    Manifest,
    Output,
    Source,
    batches_of,
    folder_of,
    load_manifest,
    manifest_path,
    specs_of,
)
from videobert.runtime.parquet import read_table
from videobert.runtime.shards import PLAN, ShardTask, load_plan, save_plan
from videobert.runtime.storage import Store, file_sha256
from videobert.runtime.tombstones import read_tombstone, write_tombstone
from videobert.runtime.without import copy_without
from videobert.shard.run import shard_tasks as tar_tasks
from videobert.stages import STAGES, Stage, get_stage
from videobert.tokens.read import read_shard
from videobert.tokens.run import shard_tasks as token_tasks

__all__ = ["forget"]

_ID = re.compile(r"[0-9a-f]{64}")
_MOST_PASSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Commit:
    """A standing manifest, and what it becomes."""

    data: bytes
    old: Manifest
    new: Manifest


def forget(store: Store, video_id: str, *, dry_run: bool = False) -> Iterator[str]:
    """Forget a video; yields a line for everything that was rewritten, or that would be.

    Raises InputError for what is no video id, and for a video that nothing below the root holds.
    """
    if not _ID.fullmatch(video_id):
        raise InputError(f"{video_id!r} is no video id; give the 64 hex digits of its sha256, as `videobert sql` shows")
    known = read_tombstone(store, video_id)
    held = [batch for batch in _batches(store) if _holds(store, batch, video_id)]
    if known is None and not held:
        raise InputError(f"no batch below {store.root} holds {video_id}; the id is the sha256 of the video's bytes")
    batches = sorted({*held, *(known or ())})
    if not dry_run and batches != known:
        write_tombstone(store, video_id, batches)
        yield f"tombstone      {video_id}"
    for _ in range(1 if dry_run else _MOST_PASSES):  # a run that was at work meanwhile may have committed the video
        lines = [line for batch in batches for line in _forget_in_batch(store, batch, video_id, dry_run=dry_run)]
        yield from lines
        if not lines:
            break
    if not dry_run:
        stale = (path for spec in indexed_specs(store) for path in drop_stale(store, spec))
        yield from (f"removed        {path}" for path in stale)
    yield from _left(store, video_id, batches)


def _forget_in_batch(store: Store, batch: str, video_id: str, *, dry_run: bool) -> Iterator[str]:
    standing = _standing(store, batch)
    yield from _sources_left(store, [m for _, m in standing if m.stage == "ingest"], video_id)
    if dry_run:
        for _, manifest in standing:
            yield from (f"would rewrite  {output.path}" for output in _holding(store, manifest, video_id))
        return
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        commits = _rewrite(store, standing, video_id, Path(folder))
    for commit in reversed(commits):
        new = commit.new
        if new != commit.old:
            path = manifest_path(get_stage(new.stage), new.spec, batch)
            store.commit(path, new.to_bytes(), former=commit.data)
            yield f"committed      {path}: {commit.old.counts.get('videos', 0)} -> {new.counts['videos']} videos"
        write_dead_letters(store, new)
    for stage, spec in _begun(store, batch):
        yield from _clean(store, stage, spec, batch, video_id)


def _rewrite(store: Store, standing: Sequence[tuple[bytes, Manifest]], video_id: str, folder: Path) -> list[_Commit]:
    """New files without the video, upstream first, and the manifests over them; nothing is committed yet."""
    old = {(manifest.stage, manifest.spec): manifest for _, manifest in standing}
    new: dict[tuple[str, str], Manifest] = {}
    commits = []
    for data, manifest in standing:
        holding = {output.shard for output in _with_rows(store, manifest, video_id)}
        outputs = [
            _without(store, manifest, output, video_id, folder if output.shard in holding else None)
            for output in manifest.outputs
        ]
        before, after = _digests(store, manifest, old), _digests(store, manifest, new)
        for position, output in enumerate(outputs):
            # Only where the shard was up to date; what a stage has to do again anyway stays marked so.
            if output.shard in after and output.input_digest == before.get(output.shard):
                outputs[position] = dataclasses.replace(output, input_digest=after[output.shard])
        sources = tuple(_source(source, manifest.batch, old, new) for source in manifest.sources)
        changed = dataclasses.replace(manifest, outputs=tuple(outputs), sources=sources)
        new[manifest.stage, manifest.spec] = changed
        commits.append(_Commit(data=data, old=manifest, new=changed))
    return commits


def _without(store: Store, manifest: Manifest, output: Output, video_id: str, folder: Path | None) -> Output:
    """An output without the video's reject, and where a folder to work in is given, without its rows."""
    rejects = tuple(reject for reject in output.rejects if reject.video_id != video_id)
    lost: Mapping[str, int] = {}
    changed = output
    if folder:
        stage = get_stage(manifest.stage)
        source, target = folder / "source", folder / "target"
        store.download(output.path, source)
        lost = copy_without(stage.name, source, target, video_id)
        digest = file_sha256(target)
        path = f"{folder_of(stage, manifest.spec, manifest.batch)}/{output.shard:05d}-{digest[:8]}.{stage.suffix}"
        store.upload(target, path)
        changed = dataclasses.replace(output, path=path, sha256=digest, size_bytes=target.stat().st_size)
    counts = {name: value - lost.get(name, 0) for name, value in output.counts.items()}
    gone = lost.get("videos", 0) + len(output.rejects) - len(rejects)
    if manifest.stage == "ingest" and gone:  # its source may still be listed, so the part still answers for it
        counts["forgotten"] = counts.get("forgotten", 0) + gone
    return dataclasses.replace(changed, counts=counts, rejects=rejects)


def _digests(store: Store, manifest: Manifest, known: Mapping[tuple[str, str], Manifest]) -> dict[int, str]:
    """What each shard's input digest is when its stage plans now; empty for ingest, whose inputs are the source's."""
    sources = [known.get((source.stage, source.spec)) for source in manifest.sources]
    upstream = {source.stage: (source,) for source in sources if source}
    inputs = Inputs(store=store, batch=manifest.batch, upstream=upstream)
    tasks: list[ShardTask] = []
    try:
        if manifest.stage == "shard":
            tasks = tar_tasks(manifest.spec, inputs, limit=manifest.config["shard_bytes"])
        elif manifest.stage == "features":
            tasks = features_tasks(manifest.spec, inputs)
        elif manifest.stage == "tokens":
            tasks = token_tasks(manifest.spec, inputs)
        elif manifest.stage == "embed":
            tasks = embed_tasks(manifest.spec, inputs)
    except (InputError, KeyError):  # an upstream is gone or does not fit any more: its stage will see to it
        return {}
    return {task.shard: task.input_digest for task in tasks}


def _source(
    source: Source, batch: str, old: Mapping[tuple[str, str], Manifest], new: Mapping[tuple[str, str], Manifest]
) -> Source:
    key = (source.stage, source.spec)
    if source.batch != batch or key not in new or old[key].digest != source.digest:
        return source
    return dataclasses.replace(source, digest=new[key].digest)


def _begun(store: Store, batch: str) -> list[tuple[Stage, str]]:
    """Stages and specs that have a folder for the batch, committed or not, upstream first."""
    stages = [stage for stage in STAGES if stage.scope == "batch"]
    return [(s, spec) for s in stages for spec in _specs(store, s.name) if batch in batches_of(store, s.name, spec)]


def _standing(store: Store, batch: str) -> list[tuple[bytes, Manifest]]:
    """The batch's manifests of every spec with their bytes, upstream first."""
    found = (store.read_or_none(manifest_path(stage, spec, batch)) for stage, spec in _begun(store, batch))
    return [(data, Manifest.from_bytes(data)) for data in found if data is not None]


def _specs(store: Store, stage: str) -> list[str]:
    return specs_of(store, stage) if "{spec}" in get_stage(stage).folder else [""]


def _batches(store: Store) -> list[str]:
    stages = [stage.name for stage in STAGES if stage.scope == "batch"]
    return sorted({b for name in stages for spec in _specs(store, name) for b in batches_of(store, name, spec)})


def _holds(store: Store, batch: str, video_id: str) -> bool:
    return any(_holding(store, manifest, video_id) for _, manifest in _standing(store, batch))


def _holding(store: Store, manifest: Manifest, video_id: str) -> list[Output]:
    """The outputs with the video, as rows or as a reject."""
    found = _with_rows(store, manifest, video_id)
    rejected = (o for o in manifest.outputs if any(reject.video_id == video_id for reject in o.rejects))
    return sorted({output.path: output for output in (*found, *rejected)}.values(), key=lambda output: output.shard)


def _with_rows(store: Store, manifest: Manifest, video_id: str) -> list[Output]:
    """The outputs whose files hold the video."""
    if manifest.stage == "shard":
        # The plan tells what a tar was asked to hold; to look into it, all its videos would have to be read.
        plan = load_plan(store, folder_of(get_stage("shard"), manifest.spec, manifest.batch))
        planned = {number for number, members in enumerate(plan) if video_id in members}
        return [
            output
            for output in manifest.outputs
            if output.shard in planned and all(reject.video_id != video_id for reject in output.rejects)
        ]
    return [output for output in manifest.outputs if _in_file(store, manifest.stage, output.path, video_id)]


def _in_file(store: Store, stage: str, path: str, video_id: str) -> bool:
    if stage == "tokens":
        return any(sample["video_id"] == video_id for sample in read_shard(store, path))
    return video_id in read_table(store, path, columns=["video_id"])["video_id"].to_pylist()


def _clean(store: Store, stage: Stage, spec: str, batch: str, video_id: str) -> Iterator[str]:
    """Remove what no manifest names, for it may hold the video: former files, the work of a killed run."""
    folder = folder_of(stage, spec, batch)
    manifest = load_manifest(store, stage.name, spec, batch)
    plan = load_plan(store, folder)
    gone = {video_id} if stage.name == "shard" else _gone_uris(store, manifest, plan)
    if any(gone & set(shard) for shard in plan):
        save_plan(store, folder, [[key for key in shard if key not in gone] for shard in plan])
    keep = {output.path for output in (manifest.outputs if manifest else ())}
    keep |= {manifest_path(stage, spec, batch), f"{folder}/{PLAN}"}
    for path in store.list(folder):
        if path not in keep:
            store.delete([path])
            yield f"removed        {path}"


def _gone_uris(store: Store, catalog: Manifest | None, plan: Sequence[Sequence[str]]) -> set[str]:
    """Names that the plan of a catalog holds for videos that are neither in the catalog nor in the source any more."""
    if catalog is None or not plan:
        return set()
    known = {reject.uri for reject in catalog.rejects}
    for output in catalog.outputs:
        known.update(read_table(store, output.path, columns=["uri"])["uri"].to_pylist())
    return {uri for shard in plan for uri in shard if uri not in known and not _is_there(uri)}


def _is_there(uri: str) -> bool:
    filesystem, path = open_filesystem(uri)
    return bool(filesystem.exists(path))


def _sources_left(store: Store, catalogs: Sequence[Manifest], video_id: str) -> Iterator[str]:
    """The bucket that videos come from is not ours to change."""
    for catalog in catalogs:
        uris = {reject.uri for reject in catalog.rejects if reject.video_id == video_id}
        for output in catalog.outputs:
            table = read_table(store, output.path, columns=["video_id", "uri"])
            uris.update(table.filter(pc.equal(table["video_id"], video_id))["uri"].to_pylist())
        yield from (f"still there    {uri}: delete it at its source" for uri in sorted(uris) if _is_there(uri))


def _left(store: Store, video_id: str, batches: Sequence[str]) -> Iterator[str]:
    """Artefacts that were fitted on the video."""
    for stage in ("codebook", "pretrain"):
        for spec in specs_of(store, stage):
            manifest = load_manifest(store, stage, spec, "")
            if manifest is None or not set(manifest.facts["batches"]) & set(batches):
                continue
            if not is_held_out(video_id, manifest.facts["heldout_fraction"]):
                yield f"still knows    {stage} {spec} was fitted on it: train again without it"
