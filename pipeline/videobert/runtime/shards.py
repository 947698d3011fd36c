"""One shard in, one shard out: what every batch stage does around its own worker.

A shard is done when its output and then its receipt are written; the manifest over all of them is the commit, and the
dead letters follow from it. A killed run resumes at the shards without receipt, a finished one finds its manifest and
does nothing. Of two runs at once, both write the same bytes; where their inputs differ, the second commit is refused.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videobert.errors import ConflictError
from videobert.runtime.dead_letters import dead_letters_path, write_dead_letters
from videobert.runtime.executor import Executor, Worker
from videobert.runtime.inputs import Inputs, Share
from videobert.runtime.manifest import (
    Manifest,
    Output,
    Reject,
    Source,
    check_balance,
    folder_of,
    library_versions,
    load_manifest,
    manifest_path,
)
from videobert.runtime.progress import Progress
from videobert.runtime.spec import canonical_json
from videobert.runtime.split_shards import map_shards
from videobert.runtime.stage import stage_record
from videobert.runtime.storage import Store, file_sha256, sha256
from videobert.runtime.tombstones import tombstones

__all__ = ["PLAN", "ShardCommit", "ShardTask", "find_unchanged", "load_plan", "run_shards", "save_plan"]

PLAN = "_plan.json"
_RECEIPTS = "_receipts"


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
    again: bool = False
    """The path is that of a committed file of the same input: it was lost or damaged, and is made anew."""


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
    retry: frozenset[int] = frozenset()
    """Committed shards to do once more, because something outside of the inputs has changed."""

    @property
    def folder(self) -> str:
        return folder_of(stage_record(self.stage), self.spec, self.batch)

    @property
    def manifest_path(self) -> str:
        return manifest_path(stage_record(self.stage), self.spec, self.batch)


def finish(
    store: Store, task: ShardTask, *, data: bytes | Path, counts: dict[str, int], rejects: Sequence[Reject]
) -> Output:
    """Called by a worker: write the shard, from memory or a local file, then its receipt.

    Another run with other inputs may have written there, or even committed: then it goes under a name of its bytes.
    """
    with ThreadPoolExecutor(1) as pool:  # hashed while it is written
        hashed = pool.submit(sha256, data) if isinstance(data, bytes) else pool.submit(file_sha256, data)
        path = task.path
        if task.again:
            store.write(path, data)
        elif not store.create(path, data):
            stem, _, suffix = path.rpartition(".")
            path = f"{stem}-{hashed.result()[:8]}.{suffix}"
            store.write(path, data)
    digest = hashed.result()
    output = Output(
        shard=task.shard, input_digest=task.input_digest, path=path, sha256=digest,
        size_bytes=len(data) if isinstance(data, bytes) else data.stat().st_size, counts=counts, rejects=tuple(rejects),
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
    committed_bytes = commit.store.read_or_none(commit.manifest_path)
    committed = Manifest.from_bytes(committed_bytes) if committed_bytes is not None else None
    # The catalog's folder is shared by all its specs: what is committed there may be of another.
    former = committed if committed and committed.spec == commit.spec else None
    present = commit.store.list(commit.folder)
    tasks = _with_paths(commit, tasks, committed)
    done = _done(commit, former, tasks, present)
    if former and _is_current(commit, former, tasks, done):
        _tidy(commit.store, former, present)
        return former
    forgotten = tombstones(commit.store)
    missing = [task for task in tasks if task.shard not in done]
    ours = [task for task in missing if commit.share.holds(task.shard)]
    done |= _compute(commit, former, ours, len(done), worker=worker, arguments=arguments, executor=executor)
    present = commit.store.list(commit.folder)
    if len(ours) < len(missing):  # what the other shares did meanwhile
        done = _done(commit, former, tasks, present) | done
    manifest = _manifest_over(commit, done)
    if len(done) < len(tasks):
        return manifest
    check_balance(manifest, commit.expected_videos)
    _check_present(commit, manifest, present)
    if tombstones(commit.store) != forgotten:
        raise ConflictError(
            f"a video was forgotten while {commit.stage} of batch {commit.batch!r} ran; nothing was committed; "
            "run this again"
        )
    if committed and committed.spec != manifest.spec:
        commit.store.delete([dead_letters_path(committed)])
    commit.store.commit(commit.manifest_path, manifest.to_bytes(), former=committed_bytes)
    # Our own receipts by name: a listing need not show yet what was written a moment ago.
    _tidy(commit.store, manifest, {**present, **{task.receipt: 0 for task in ours}})
    return manifest


def _is_current(commit: ShardCommit, former: Manifest, tasks: Sequence[ShardTask], done: Mapping[int, Output]) -> bool:
    """Whether the committed manifest says what this run would commit."""
    all_done = all(task.shard in done for task in tasks)
    return all_done and _in_order(done) == former.outputs and former.sources == commit.sources


def _compute(
    commit: ShardCommit,
    former: Manifest | None,
    tasks: Sequence[ShardTask],
    already: int,
    *,
    worker: Worker,
    arguments: tuple[Any, ...],
    executor: Executor,
) -> dict[int, Output]:
    """Let workers do the tasks, with progress; `already` shards were done before."""
    progress = Progress(f"{commit.stage} {commit.batch}", total=already + len(tasks), done=already, unit="shards")
    before = _by_shard(former)
    found: dict[int, Output] = {}
    output: Output
    for output in map_shards(executor, worker, arguments, tasks):
        found[output.shard] = _after_retry(commit, before.get(output.shard), output)
        progress.step(output.counts)
    return found


def _manifest_over(commit: ShardCommit, done: Mapping[int, Output]) -> Manifest:
    return Manifest(
        stage=commit.stage, spec=commit.spec, batch=commit.batch, config=commit.config, sources=commit.sources,
        outputs=_in_order(done), facts=commit.facts, versions=library_versions(),
    )  # fmt: skip


def _in_order(done: Mapping[int, Output]) -> tuple[Output, ...]:
    return tuple(done[number] for number in sorted(done))


def find_unchanged(inputs: Inputs, stage: str, spec: str) -> Manifest | None:
    """What is committed, when it was made of these very sources, is all there and nothing is to be done once more.

    Then no shard need be planned: a few requests tell, however many shards there are.
    """
    manifest = load_manifest(inputs.store, stage, spec, inputs.batch)
    if manifest is None or inputs.retry or manifest.sources != inputs.sources:
        return None
    present = inputs.store.list(folder_of(stage_record(stage), spec, inputs.batch))
    if not manifest.is_whole(present):
        return None
    _tidy(inputs.store, manifest, present)
    return manifest


def load_plan(store: Store, folder: str) -> tuple[tuple[str, ...], ...]:
    """The former plan of a folder: for every shard its keys; empty when there is none."""
    data = store.read_or_none(f"{folder}/{PLAN}")
    return tuple(tuple(shard) for shard in json.loads(data)) if data else ()


def save_plan(store: Store, folder: str, plan: Iterable[Sequence[str]]) -> None:
    """Written before the first shard, so that a resumed run places every video as the killed one did."""
    data = canonical_json([list(shard) for shard in plan])
    if store.read_or_none(f"{folder}/{PLAN}") != data:
        store.write(f"{folder}/{PLAN}", data)


def _done(
    commit: ShardCommit, former: Manifest | None, tasks: Sequence[ShardTask], present: Mapping[str, int]
) -> dict[int, Output]:
    """Shards whose output is there: those of a killed run by their receipts, unless what is committed has them."""
    retried = {task.shard: task.path for task in tasks if task.shard in commit.retry}
    found = []
    # A writer that was killed may have left its temporary there, which has no suffix.
    receipts = [p for p in present if p.startswith(f"{commit.folder}/{_RECEIPTS}/") and p.endswith(".json")]
    for _, data in commit.store.read_many(receipts):
        if data is None:
            continue  # another run has committed, and cleans up
        raw = json.loads(data)
        raw["rejects"] = tuple(Reject(**reject) for reject in raw["rejects"])
        output = Output(**raw)
        if retried.get(output.shard, output.path) == output.path:
            found.append(output)
    before = _by_shard(former)
    committed = [output for output in before.values() if output.shard not in retried]
    wanted = {task.shard: task.input_digest for task in tasks}
    return {
        output.shard: _after_retry(commit, before.get(output.shard), output)
        for output in (*found, *committed)
        if wanted.get(output.shard) == output.input_digest and present.get(output.path) == output.size_bytes
    }


def _by_shard(manifest: Manifest | None) -> dict[int, Output]:
    return {output.shard: output for output in (manifest.outputs if manifest else ())}


def _with_paths(commit: ShardCommit, tasks: Iterable[ShardTask], committed: Manifest | None) -> list[ShardTask]:
    """Where shards go: never onto a committed file of other content, which stays until the new manifest is there."""
    suffix = stage_record(commit.stage).suffix
    by_shard = _by_shard(committed)
    by_path = {output.path: output for output in by_shard.values()}
    placed = []
    for task in tasks:
        name = f"{commit.folder}/{task.shard:05d}"
        before = by_shard.get(task.shard)
        if before and before.input_digest == task.input_digest and task.shard in commit.retry:
            tries = max((reject.attempts for reject in before.rejects), default=0)
            name += f"-{task.input_digest[:8]}-{tries + 1}"
        elif (taken := by_path.get(f"{name}.{suffix}")) and taken.input_digest != task.input_digest:
            name += f"-{task.input_digest[:8]}"
        path = f"{name}.{suffix}"
        receipt = f"{commit.folder}/{_RECEIPTS}/{task.shard:05d}.json"
        placed.append(dataclasses.replace(task, path=path, receipt=receipt, again=path in by_path))
    return placed


def _after_retry(commit: ShardCommit, before: Output | None, output: Output) -> Output:
    """Failed tries add up; where a retry changed nothing, the committed file stays."""
    if output.shard not in commit.retry or before is None or before.input_digest != output.input_digest:
        return output
    tries = {reject.uri: reject.attempts for reject in before.rejects}
    rejects = tuple(dataclasses.replace(r, attempts=r.attempts + tries.get(r.uri, 0)) for r in output.rejects)
    same = (output.sha256, output.counts) == (before.sha256, before.counts)
    return dataclasses.replace(output, rejects=rejects, path=before.path if same else output.path)


def _check_present(commit: ShardCommit, manifest: Manifest, present: Mapping[str, int]) -> None:
    """Another run may have swept what it did not know; a file the listing does not show yet is asked for."""
    lost = [o.path for o in manifest.outputs if o.path not in present and not commit.store.exists(o.path)]
    if lost:
        raise ConflictError(
            f"{commit.store.url(lost[0])} was removed while this ran, by another run of batch {commit.batch!r}; "
            "nothing was committed; run this again"
        )


def _tidy(store: Store, manifest: Manifest, present: Iterable[str]) -> None:
    """What follows from a commit: its dead letters, and no other files than its own."""
    write_dead_letters(store, manifest)
    _sweep(store, manifest, present)


def _sweep(store: Store, manifest: Manifest, present: Iterable[str]) -> None:
    """Remove receipts, files of a former commit and temporaries of killed writers."""
    stage = stage_record(manifest.stage)
    keep = {output.path for output in manifest.outputs}
    keep |= {
        f"{folder_of(stage, manifest.spec, manifest.batch)}/{PLAN}", manifest_path(stage, manifest.spec, manifest.batch)
    }  # fmt: skip
    store.delete(path for path in present if path not in keep)
