"""One shard in, one shard out: what every batch stage does around its own worker.

A shard is done when its output and then its receipt are written; the manifest over all of them is the commit. A
killed run resumes at the shards without receipt, a finished one finds its manifest and does nothing.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.runtime.executor import Executor, Worker
from pipeline.runtime.inputs import Share
from pipeline.runtime.manifest import (
    Manifest,
    Output,
    Reject,
    Source,
    check_balance,
    folder_of,
    library_versions,
    manifest_path,
    save_manifest,
)
from pipeline.runtime.parquet import table_bytes
from pipeline.runtime.progress import Progress
from pipeline.runtime.spec import canonical_json
from pipeline.runtime.storage import Store, sha256
from pipeline.stages import get_stage

__all__ = ["ShardCommit", "ShardTask", "load_plan", "run_shards", "save_plan"]

_PLAN = "_plan.json"
_RECEIPTS = "_receipts"

_DEAD_LETTER_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("video_id", pa.string()), ("uri", pa.string()), ("batch", pa.string()), ("stage", pa.string()),
    ("spec", pa.string()), ("shard", pa.int32()), ("reason", pa.string()), ("message", pa.string()),
    ("attempts", pa.int32()), ("salvageable_seconds", pa.float64()),
]  # fmt: skip
_DEAD_LETTER_SCHEMA = pa.schema(_DEAD_LETTER_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """One shard to do."""

    shard: int
    input_digest: str
    payload: Any
    """What the worker needs to find its input; small."""
    path: str = ""
    """Where the output goes; set by `run_shards`."""
    receipt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCommit:
    """The identity of one run over one batch."""

    store: Store
    stage: str
    spec: str
    batch: str
    config: dict[str, Any]
    sources: tuple[Source, ...]
    expected_videos: int
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    share: Share = dataclasses.field(default_factory=Share)

    @property
    def folder(self) -> str:
        return folder_of(get_stage(self.stage), self.spec, self.batch)


def finish(store: Store, task: ShardTask, *, data: bytes, counts: dict[str, int], rejects: Sequence[Reject]) -> Output:
    """Called by a worker: write the shard, then its receipt."""
    store.write(task.path, data)
    return write_receipt(store, task, digest=sha256(data), size_bytes=len(data), counts=counts, rejects=rejects)


def write_receipt(
    store: Store, task: ShardTask, *, digest: str, size_bytes: int, counts: dict[str, int], rejects: Sequence[Reject]
) -> Output:
    """Called by a worker whose output already stands: record that the shard is done."""
    output = Output(
        shard=task.shard, input_digest=task.input_digest, path=task.path, sha256=digest, size_bytes=size_bytes,
        counts=counts, rejects=tuple(rejects),
    )  # fmt: skip
    store.write(task.receipt, canonical_json(dataclasses.asdict(output)))
    return output


def run_shards(
    commit: ShardCommit,
    tasks: Sequence[ShardTask],
    *,
    worker: Worker,
    arguments: tuple[Any, ...],
    executor: Executor,
) -> Manifest:
    """Do the shards of our share that are not done, then commit the manifest over all of them.

    Where other shares are not done yet, the manifest that is returned covers what is there, and is not committed.
    """
    standing = _standing(commit)
    former = standing if standing and standing.spec == commit.spec else None
    present = commit.store.list(commit.folder)
    done = _done(commit, former.outputs if former else (), tasks, present)
    taken = {output.path: output.input_digest for output in (standing.outputs if standing else ())}
    missing = [_with_paths(commit, task, taken) for task in tasks if task.shard not in done]
    mine = [task for task in missing if commit.share.holds(task.shard)]
    outputs = tuple(done[number] for number in sorted(done))
    if former and not missing and outputs == former.outputs and former.sources == commit.sources:
        _sweep(commit, former, present)  # what a run that was killed after its commit left
        return former
    progress = Progress(f"{commit.stage} {commit.batch}", total=len(done) + len(mine), done=len(done), unit="shards")
    output: Output
    for output in executor.map(worker, arguments, mine):
        done[output.shard] = output
        progress.step(output.counts)
    if len(mine) < len(missing):  # what the other shares did meanwhile
        done = _done(commit, done.values(), tasks, commit.store.list(commit.folder))
    manifest = Manifest(
        stage=commit.stage, spec=commit.spec, batch=commit.batch, config=commit.config, sources=commit.sources,
        outputs=tuple(done[number] for number in sorted(done)), facts=commit.facts, versions=library_versions(),
    )  # fmt: skip
    if len(done) < len(tasks):
        return manifest
    check_balance(manifest, commit.expected_videos)
    _write_dead_letters(commit.store, manifest)
    if standing and standing.spec != manifest.spec:
        commit.store.delete([_dead_letters_path(standing)])
    save_manifest(commit.store, manifest)
    _sweep(commit, manifest, commit.store.list(commit.folder))
    return manifest


def load_plan(store: Store, folder: str) -> tuple[tuple[str, ...], ...]:
    """The former plan of a folder: for every shard its keys; empty when there is none."""
    data = store.read_or_none(f"{folder}/{_PLAN}")
    return tuple(tuple(shard) for shard in json.loads(data)) if data else ()


def save_plan(store: Store, folder: str, plan: Iterable[Sequence[str]]) -> None:
    """Written before the first shard, so that a resumed run places every video as the killed one did."""
    data = canonical_json([list(shard) for shard in plan])
    if store.read_or_none(f"{folder}/{_PLAN}") != data:
        store.write(f"{folder}/{_PLAN}", data)


def _standing(commit: ShardCommit) -> Manifest | None:
    """The manifest that stands in the folder; the catalog's folder is shared by all specs of ingest."""
    data = commit.store.read_or_none(manifest_path(get_stage(commit.stage), commit.spec, commit.batch))
    return Manifest.from_bytes(data) if data is not None else None


def _done(
    commit: ShardCommit, committed: Iterable[Output], tasks: Sequence[ShardTask], present: dict[str, int]
) -> dict[int, Output]:
    found = []
    for path in present:
        if path.startswith(f"{commit.folder}/{_RECEIPTS}/"):
            data = commit.store.read_or_none(path)
            if data is None:
                continue  # another share has committed, and cleans up
            raw = json.loads(data)
            raw["rejects"] = tuple(Reject(**reject) for reject in raw["rejects"])
            found.append(Output(**raw))
    wanted = {task.shard: task.input_digest for task in tasks}
    return {
        output.shard: output
        for output in (*found, *committed)  # what is committed goes before what a killed run left
        if wanted.get(output.shard) == output.input_digest and present.get(output.path) == output.size_bytes
    }


def _with_paths(commit: ShardCommit, task: ShardTask, taken: Mapping[str, str]) -> ShardTask:
    suffix = get_stage(commit.stage).suffix
    path = f"{commit.folder}/{task.shard:05d}.{suffix}"
    if taken.get(path, task.input_digest) != task.input_digest:
        # The committed file stays until the new manifest stands.
        path = f"{commit.folder}/{task.shard:05d}-{task.input_digest[:8]}.{suffix}"
    return dataclasses.replace(task, path=path, receipt=f"{commit.folder}/{_RECEIPTS}/{task.shard:05d}.json")


def _dead_letters_path(manifest: Manifest) -> str:
    return f"dead_letters/batch={manifest.batch}/{manifest.spec}.parquet"


def _write_dead_letters(store: Store, manifest: Manifest) -> None:
    path = _dead_letters_path(manifest)
    rows = [
        {
            **dataclasses.asdict(reject), "batch": manifest.batch, "stage": manifest.stage, "spec": manifest.spec,
            "shard": output.shard,
        }
        for output in manifest.outputs
        for reject in output.rejects
    ]  # fmt: skip
    if rows:
        store.write(path, table_bytes(pa.Table.from_pylist(rows, schema=_DEAD_LETTER_SCHEMA)))
    else:
        store.delete([path])


def _sweep(commit: ShardCommit, manifest: Manifest, present: Iterable[str]) -> None:
    """Remove receipts, files of a former commit and temporaries of killed writers."""
    keep = {output.path for output in manifest.outputs}
    keep |= {f"{commit.folder}/{_PLAN}", manifest_path(get_stage(commit.stage), commit.spec, commit.batch)}
    commit.store.delete(path for path in present if path not in keep)
