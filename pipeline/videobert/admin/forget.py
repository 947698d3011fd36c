"""Forget: a video leaves the catalog, tars, features, tokens, embeddings and dead letters of every spec.

A tombstone first keeps it from coming back through ingest. Then, batch by batch, new files without the video are
written next to the old ones; new manifests replace the old, what is read last first, so that every upstream is still
as it was while its readers are rewritten; the old files go at the end. Each manifest is one whole write over files
that are there, so readers never see half a change, and the same command resumes where a killed one ended. Input
digests are brought along: afterwards every stage finds its work done. What a video is in a file, and how it leaves
it, each stage says for itself.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from videobert.errors import InputError
from videobert.query.index import drop_stale, indexed_specs
from videobert.runtime.dead_letters import write_dead_letters
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
from videobert.runtime.shards import PLAN, load_plan, save_plan
from videobert.runtime.storage import Store, file_sha256
from videobert.runtime.tombstones import read_tombstone, write_tombstone
from videobert.stages import AnyBatchStage, BatchStage, batch_stages, corpus_stages, get_stage

__all__ = ["forget"]

_ID = re.compile(r"[0-9a-f]{64}")
_MOST_PASSES = 3

Report = Callable[[str], object]
"""Takes one line about something that was done, or that would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Commit:
    """A committed manifest, and what it becomes."""

    data: bytes
    old: Manifest
    new: Manifest


def forget(store: Store, video_id: str, *, dry_run: bool = False, report: Report = lambda _: None) -> None:
    """Forget a video; `report` gets a line for everything that was rewritten, or that would be.

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
        report(f"tombstone      {video_id}")
    at_source = _source_uris(store, batches, video_id)
    for _ in range(1 if dry_run else _MOST_PASSES):  # a run that was at work meanwhile may have committed the video
        changed = [_forget_in_batch(store, batch, video_id, dry_run=dry_run, report=report) for batch in batches]
        if not any(changed):
            break
    if not dry_run:
        for spec in indexed_specs(store):
            for path in drop_stale(store, spec):
                report(f"removed        {path}")
    for uri in at_source:
        report(f"still there    {uri}: delete it at its source")
    for line in _still_known(store, video_id, batches):
        report(line)


def _forget_in_batch(store: Store, batch: str, video_id: str, *, dry_run: bool, report: Report) -> bool:
    """Whether there was anything to report."""
    lines = 0

    def told(line: str) -> None:
        nonlocal lines
        lines += 1
        report(line)

    committed = _committed(store, batch)
    if dry_run:
        for _, manifest in committed:
            for output in _holding(store, manifest, video_id):
                told(f"would rewrite  {output.path}")
        return lines > 0
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        commits = _rewrite(store, committed, video_id, Path(folder))
    for commit in reversed(commits):
        new = commit.new
        if new != commit.old:
            path = manifest_path(_stage(new), new.spec, batch)
            store.commit(path, new.to_bytes(), former=commit.data)
            told(f"committed      {path}: {commit.old.counts.get('videos', 0)} -> {new.counts['videos']} videos")
        write_dead_letters(store, new)
        _stage(new).after_forgetting(store, new)
    for stage, spec in _begun(store, batch):
        for path in _clean(store, stage, spec, batch, video_id):
            told(f"removed        {path}")
    return lines > 0


def _rewrite(store: Store, committed: Sequence[tuple[bytes, Manifest]], video_id: str, folder: Path) -> list[_Commit]:
    """New files without the video, upstream first, and the manifests over them; nothing is committed yet."""
    old = {(manifest.stage, manifest.spec): manifest for _, manifest in committed}
    new: dict[tuple[str, str], Manifest] = {}
    commits = []
    for data, manifest in committed:
        holding = {output.shard for output in _stage(manifest).outputs_with(store, manifest, video_id)}
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
    stage = _stage(manifest)
    rejects = tuple(reject for reject in output.rejects if reject.video_id != video_id)
    lost: Mapping[str, int] = {}
    changed = output
    if folder:
        source, target = folder / "source", folder / "target"
        store.download(output.path, source)
        lost = stage.drop_video(source, target, video_id)
        digest = file_sha256(target)
        path = f"{folder_of(stage, manifest.spec, manifest.batch)}/{output.shard:05d}-{digest[:8]}.{stage.suffix}"
        store.upload(target, path)
        changed = dataclasses.replace(output, path=path, sha256=digest, size_bytes=target.stat().st_size)
    gone = lost.get("videos", 0) + len(output.rejects) - len(rejects)
    return dataclasses.replace(changed, counts=stage.counts_without(output.counts, lost, gone), rejects=rejects)


def _digests(store: Store, manifest: Manifest, known: Mapping[tuple[str, str], Manifest]) -> dict[int, str]:
    """What each shard's input digest is when its stage plans now; empty where manifests do not tell."""
    sources = [known.get((source.stage, source.spec)) for source in manifest.sources]
    upstream = {source.stage: (source,) for source in sources if source}
    inputs = Inputs(store=store, batch=manifest.batch, upstream=upstream)
    try:
        tasks = _stage(manifest).shard_tasks(manifest, inputs)
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


def _stage(manifest: Manifest) -> AnyBatchStage:
    stage = get_stage(manifest.stage)
    assert isinstance(stage, BatchStage)
    return stage


def _begun(store: Store, batch: str) -> list[tuple[AnyBatchStage, str]]:
    """Stages and specs that have a folder for the batch, committed or not, upstream first."""
    return [
        (stage, spec)
        for stage in batch_stages()
        for spec in _specs(store, stage)
        if batch in batches_of(store, stage.name, spec)
    ]


def _committed(store: Store, batch: str) -> list[tuple[bytes, Manifest]]:
    """The batch's manifests of every spec with their bytes, upstream first."""
    found = (store.read_or_none(manifest_path(stage, spec, batch)) for stage, spec in _begun(store, batch))
    return [(data, Manifest.from_bytes(data)) for data in found if data is not None]


def _specs(store: Store, stage: AnyBatchStage) -> list[str]:
    return specs_of(store, stage.name) if "{spec}" in stage.folder else [""]


def _batches(store: Store) -> list[str]:
    return sorted({b for s in batch_stages() for spec in _specs(store, s) for b in batches_of(store, s.name, spec)})


def _source_uris(store: Store, batches: Sequence[str], video_id: str) -> list[str]:
    """Where the video lies outside of the root: the bucket that videos come from is not ours to change."""
    manifests = [manifest for batch in batches for _, manifest in _committed(store, batch)]
    return sorted({uri for m in manifests for uri in _stage(m).source_uris(store, m, video_id)})


def _holds(store: Store, batch: str, video_id: str) -> bool:
    return any(_holding(store, manifest, video_id) for _, manifest in _committed(store, batch))


def _holding(store: Store, manifest: Manifest, video_id: str) -> list[Output]:
    """The outputs with the video, as rows or as a reject."""
    found = _stage(manifest).outputs_with(store, manifest, video_id)
    rejected = (o for o in manifest.outputs if any(reject.video_id == video_id for reject in o.rejects))
    return sorted({output.path: output for output in (*found, *rejected)}.values(), key=lambda output: output.shard)


def _clean(store: Store, stage: AnyBatchStage, spec: str, batch: str, video_id: str) -> list[str]:
    """Remove what no manifest names, for it may hold the video: former files, the work of a killed run."""
    folder = folder_of(stage, spec, batch)
    manifest = load_manifest(store, stage.name, spec, batch)
    plan = load_plan(store, folder)
    gone = stage.plan_keys(store, manifest, plan, video_id)
    if any(gone & set(shard) for shard in plan):
        save_plan(store, folder, [[key for key in shard if key not in gone] for shard in plan])
    keep = {output.path for output in (manifest.outputs if manifest else ())}
    keep |= {manifest_path(stage, spec, batch), f"{folder}/{PLAN}"}
    stale = [path for path in store.list(folder) if path not in keep]
    store.delete(stale)
    return stale


def _still_known(store: Store, video_id: str, batches: Sequence[str]) -> list[str]:
    """Artifacts that were fitted on the video."""
    lines = []
    for stage in corpus_stages():
        for spec in specs_of(store, stage.name):
            manifest = load_manifest(store, stage.name, spec, "")
            if manifest is None or "heldout_fraction" not in manifest.facts:
                continue
            fitted = set(manifest.facts["batches"]) & set(batches)
            if fitted and not is_held_out(video_id, manifest.facts["heldout_fraction"]):
                lines.append(f"still knows    {stage.name} {spec} was fitted on it: train again without it")
    return lines
