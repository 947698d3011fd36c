"""run_shards: resume, no-op, change, dead letters, balance, on real files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videobert.errors import BalanceError, ConflictError, InputError
from videobert.runtime.executor import LocalExecutor, Worker
from videobert.runtime.inputs import Share
from videobert.runtime.manifest import Manifest, Output, Reject, Source, load_manifest
from videobert.runtime.shards import ShardCommit, ShardTask, finish, load_plan, run_shards, save_plan
from videobert.runtime.spec import digest
from videobert.runtime.storage import Store, sha256

FOLDER = "features/features-1/batch=b"


class KilledError(Exception):
    """Stands for a process that ends at once."""


class Packer:
    """Writes the videos of a shard joined by a comma; `!` in a name is a reject, `@` ends the process."""

    calls: list[int]

    def __init__(self, store: Store, calls: list[int], killed_at: int | None = None) -> None:
        self._store, self._calls, self._killed_at = store, calls, killed_at

    def __call__(self, task: ShardTask) -> Output:
        if task.shard == self._killed_at:
            raise KilledError
        self._calls.append(task.shard)
        good = [name for name in task.payload if "!" not in name]
        rejects = [
            Reject(video_id=n, uri=f"u/{n}", reason="bad", message="<b>", attempts=2, salvageable_seconds=1.5)
            for n in task.payload if "!" in n
        ]  # fmt: skip
        return finish(self._store, task, data=",".join(good).encode(), counts={"videos": len(good)}, rejects=rejects)


@dataclass
class Batch:
    """One batch and what it takes to run it."""

    store: Store
    stage: str = "features"
    spec: str = "features-1"

    def run(
        self,
        shards: Mapping[int, tuple[str, ...]],
        *,
        calls: list[int] | None = None,
        killed_at: int | None = None,
        expected: int | None = None,
        source: str = "1",
        share: Share | None = None,
        retry: frozenset[int] = frozenset(),
        executor: LocalExecutor | None = None,
    ) -> Manifest:
        commit = ShardCommit(
            store=self.store, stage=self.stage, spec=self.spec, batch="b", config={"x": 1},
            sources=(Source(stage="shard", spec="shard-1", batch="b", digest=source),),
            expected_videos=sum(map(len, shards.values())) if expected is None else expected,
            share=share or Share(), retry=retry,
        )  # fmt: skip
        tasks = [ShardTask(shard=n, input_digest=digest([self.spec, *v]), payload=v) for n, v in shards.items()]
        arguments = (self.store, [] if calls is None else calls, killed_at)
        return run_shards(commit, tasks, worker=Packer, arguments=arguments, executor=executor or LocalExecutor())

    def objects(self) -> dict[str, bytes]:
        return {path: self.store.read(path) for path in self.store.list("")}

    def letters(self) -> list[dict[str, object]]:
        return [
            row for path in self.store.list("dead_letters") for row in pq.read_table(self.store.open(path)).to_pylist()
        ]


SHARDS = {0: ("a", "b"), 1: ("c",), 2: ("d", "e!"), 3: ("f",)}


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Batch(Store(str(tmp_path)))


def test_a_run_leaves_shards_dead_letters_and_a_manifest_over_them(batch: Batch) -> None:
    manifest = batch.run(SHARDS)
    assert list(batch.objects()) == [
        "dead_letters/batch=b/features-1.parquet",
        *(f"{FOLDER}/{n:05d}.parquet" for n in range(4)),
        f"{FOLDER}/_manifest.json",
    ]
    assert [o.shard for o in manifest.outputs] == [0, 1, 2, 3] and manifest.counts == {"videos": 5, "rejects": 1}
    assert batch.store.read(f"{FOLDER}/00000.parquet") == b"a,b"
    assert load_manifest(batch.store, "features", "features-1", "b") == manifest
    (letter,) = batch.letters()
    assert letter == {
        "video_id": "e!", "uri": "u/e!", "batch": "b", "stage": "features", "spec": "features-1", "shard": 2,
        "reason": "bad", "message": "<b>", "attempts": 2, "salvageable_seconds": 1.5,
    }  # fmt: skip


@pytest.mark.parametrize("killed_at", range(4))
def test_a_killed_run_resumes_at_what_is_missing_and_ends_with_the_same_bytes(
    batch: Batch, tmp_path: Path, killed_at: int
) -> None:
    calls: list[int] = []
    with pytest.raises(KilledError):
        batch.run(SHARDS, calls=calls, killed_at=killed_at)
    assert load_manifest(batch.store, "features", "features-1", "b") is None
    batch.run(SHARDS, calls=calls)
    assert sorted(calls) == [0, 1, 2, 3]  # no shard twice
    straight = Batch(Store(str(tmp_path / "straight")))
    straight.run(SHARDS)
    assert {p: d for p, d in batch.objects().items() if not p.startswith("straight")} == straight.objects()


@pytest.mark.parametrize("victim", ["storage.Store.commit", "shards._sweep", "shards.write_dead_letters"])
def test_a_run_killed_around_the_commit_ends_with_the_same_bytes(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KilledError

    changed = {**SHARDS, 0: ("a", "b", "z!")}
    batch.run(SHARDS)
    with monkeypatch.context() as patch:
        patch.setattr(f"videobert.runtime.{victim}", killed)
        with pytest.raises(KilledError):
            batch.run(changed)
    calls: list[int] = []
    manifest = batch.run(changed, calls=calls)
    assert calls == []
    straight = Batch(Store(str(tmp_path / "straight")))
    straight.run(SHARDS)
    assert straight.run(changed) == manifest
    assert {p: d for p, d in batch.objects().items() if not p.startswith("straight")} == straight.objects()


def test_a_finished_batch_computes_and_writes_nothing(batch: Batch) -> None:
    first = batch.run(SHARDS)
    before, writes, calls = batch.objects(), batch.store.writes, list[int]()
    assert batch.run(SHARDS, calls=calls) == first
    assert calls == [] and batch.store.writes == writes and batch.objects() == before


def test_a_changed_shard_gets_a_new_name_and_the_old_file_stays_until_the_commit(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch.run(SHARDS)
    seen: list[bytes | None] = []
    original = batch.store.commit

    def spy(path: str, data: bytes, *, former: bytes | None) -> None:
        seen.append(batch.store.read_or_none(f"{FOLDER}/00001.parquet"))
        original(path, data, former=former)

    monkeypatch.setattr(batch.store, "commit", spy)
    calls: list[int] = []
    manifest = batch.run({**SHARDS, 1: ("c", "late")}, calls=calls)
    assert calls == [1]
    assert seen == [b"c"]
    (name,) = [o.path for o in manifest.outputs if o.shard == 1]
    assert name != f"{FOLDER}/00001.parquet" and batch.store.read(name) == b"c,late"
    assert set(batch.store.list(FOLDER)) == {o.path for o in manifest.outputs} | {f"{FOLDER}/_manifest.json"}


def test_a_killed_change_leaves_the_committed_shards_as_they_were(batch: Batch) -> None:
    first = batch.run(SHARDS)
    committed = {o.path: batch.store.read(o.path) for o in first.outputs}
    with pytest.raises(KilledError):
        batch.run({n: (*v, "late") for n, v in SHARDS.items()}, killed_at=2)
    assert load_manifest(batch.store, "features", "features-1", "b") == first
    assert {path: batch.store.read(path) for path in committed} == committed
    calls: list[int] = []
    assert batch.run(SHARDS, calls=calls) == first  # the change is taken back: what is committed still counts
    assert calls == [] and set(batch.store.list(FOLDER)) == {*committed, f"{FOLDER}/_manifest.json"}


def test_another_spec_in_a_shared_folder_leaves_the_commit_until_its_own_stands(tmp_path: Path) -> None:
    old = Batch(Store(str(tmp_path)), stage="ingest", spec="ingest-1")
    new = Batch(Store(str(tmp_path)), stage="ingest", spec="ingest-2")
    first = old.run(SHARDS)
    with pytest.raises(KilledError):
        new.run({0: ("b",), 1: ("x",)}, killed_at=1)
    assert load_manifest(old.store, "ingest", "ingest-1", "b") == first
    assert all(old.store.read(o.path) == b"a,b" for o in first.outputs if o.shard == 0)
    second = new.run({0: ("b",), 1: ("x", "y!")})
    assert set(new.store.list("catalog")) == {o.path for o in second.outputs} | {"catalog/batch=b/_manifest.json"}
    assert [(row["spec"], row["video_id"]) for row in new.letters()] == [("ingest-2", "y!")]


def test_a_lost_or_damaged_output_is_made_again(batch: Batch) -> None:
    batch.run(SHARDS)
    before = batch.objects()
    batch.store.delete([f"{FOLDER}/00001.parquet"])
    batch.store.write(f"{FOLDER}/00003.parquet", b"half a file")
    calls: list[int] = []
    batch.run(SHARDS, calls=calls)
    assert sorted(calls) == [1, 3] and batch.objects() == before


def test_a_new_shard_costs_only_its_own_work(batch: Batch) -> None:
    batch.run(SHARDS)
    before, calls = batch.objects(), list[int]()
    batch.run({**SHARDS, 4: ("g",)}, calls=calls)
    after = batch.objects()
    assert calls == [4]
    assert {p for p in after if after[p] != before.get(p)} == {
        f"{FOLDER}/00004.parquet", f"{FOLDER}/_manifest.json"
    }  # fmt: skip


def test_a_source_that_moved_without_changing_a_shard_costs_no_shard(batch: Batch) -> None:
    batch.run(SHARDS)
    calls: list[int] = []
    manifest = batch.run(SHARDS, calls=calls, source="2")
    assert calls == [] and manifest.sources[0].digest == "2"
    assert load_manifest(batch.store, "features", "features-1", "b") == manifest


class Beside(LocalExecutor):
    """Another run of the same batch begins and ends while ours is at work."""

    def __init__(self, other: Callable[[], object]) -> None:
        super().__init__()
        self._other = other

    def map(self, worker: Worker, arguments: tuple[Any, ...], tasks: Sequence[Any]) -> Iterator[Any]:
        done = list(super().map(worker, arguments, tasks))
        self._other()
        yield from done


def test_two_runs_of_one_batch_at_once_end_as_one(batch: Batch, tmp_path: Path) -> None:
    manifest = batch.run(SHARDS, executor=Beside(lambda: batch.run(SHARDS)))
    alone = Batch(Store(str(tmp_path / "alone")))
    assert alone.run(SHARDS) == manifest
    assert alone.objects() == {p: data for p, data in batch.objects().items() if not p.startswith("alone/")}


def test_a_run_whose_inputs_are_older_than_what_was_committed_meanwhile_is_refused(batch: Batch) -> None:
    later = {**SHARDS, 1: ("c", "late"), 4: ("g",)}
    with pytest.raises(ConflictError):
        batch.run(SHARDS, executor=Beside(lambda: batch.run(later)))
    standing = load_manifest(batch.store, "features", "features-1", "b")
    assert standing is not None and standing.counts == {"videos": 7, "rejects": 1}
    assert all(sha256(batch.store.read(o.path)) == o.sha256 for o in standing.outputs)
    assert batch.run(later) == standing


class After(LocalExecutor):
    """Another run of the same batch begins and ends before ours writes its first shard."""

    def __init__(self, other: Callable[[], object]) -> None:
        super().__init__()
        self._other = other

    def map(self, worker: Worker, arguments: tuple[Any, ...], tasks: Sequence[Any]) -> Iterator[Any]:
        self._other()
        yield from super().map(worker, arguments, tasks)


def test_a_late_writer_of_other_inputs_leaves_what_was_committed_meanwhile(batch: Batch) -> None:
    later = {**SHARDS, 1: ("c", "late"), 4: ("g",)}
    with pytest.raises(ConflictError):
        batch.run(SHARDS, executor=After(lambda: batch.run(later)))
    standing = load_manifest(batch.store, "features", "features-1", "b")
    assert standing is not None and standing.counts == {"videos": 7, "rejects": 1}
    assert all(sha256(batch.store.read(o.path)) == o.sha256 for o in standing.outputs)
    assert batch.run(later) == standing


def test_a_run_whose_files_another_one_swept_commits_nothing(batch: Batch) -> None:
    first = batch.run(SHARDS)
    changed = {**SHARDS, 1: ("c", "late")}
    with pytest.raises(ConflictError, match="removed while this ran"):
        batch.run(changed, executor=Beside(lambda: batch.run(SHARDS)))  # finds all committed, and tidies up
    assert load_manifest(batch.store, "features", "features-1", "b") == first
    assert batch.run(changed).counts["videos"] == 6


def test_a_torn_receipt_counts_as_none(batch: Batch, tmp_path: Path) -> None:
    torn = tmp_path / FOLDER / "_receipts" / ".part-12"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b'{"shard": 0, "inp')
    assert batch.run(SHARDS).counts["videos"] == 5 and not torn.exists()


def test_a_retry_does_its_shard_again_and_adds_up_the_tries(batch: Batch) -> None:
    batch.run(SHARDS)
    before, calls = batch.objects(), list[int]()
    batch.run(SHARDS, calls=calls, retry=frozenset((2,)))
    after = batch.objects()
    assert calls == [2] and [row["attempts"] for row in batch.letters()] == [4]  # two by the worker, each time
    assert {path for path in after if after[path] != before.get(path)} == {
        f"{FOLDER}/_manifest.json", "dead_letters/batch=b/features-1.parquet"
    }  # fmt: skip
    with pytest.raises(KilledError):
        batch.run(SHARDS, retry=frozenset((0, 2)), killed_at=2)
    batch.run(SHARDS, calls=calls, retry=frozenset((0, 2)))
    assert calls == [2, 2] and [row["attempts"] for row in batch.letters()] == [6]
    assert batch.objects().keys() == before.keys()


def test_a_receipt_from_before_does_not_stand_for_a_retry(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("videobert.runtime.shards._sweep", lambda *_: None)  # killed after its commit
        batch.run(SHARDS)
    calls: list[int] = []
    batch.run(SHARDS, calls=calls, retry=frozenset((2,)))
    assert calls == [2]


def test_dead_letters_that_were_lost_are_written_again(batch: Batch) -> None:
    batch.run(SHARDS)
    before = batch.objects()
    batch.store.delete(["dead_letters/batch=b/features-1.parquet"])
    batch.run(SHARDS)
    assert batch.objects() == before


def test_dead_letters_go_when_the_video_is_cured_and_are_never_doubled(batch: Batch) -> None:
    batch.run(SHARDS)
    batch.run({**SHARDS, 0: ("a", "b", "z!")})
    assert sorted(str(row["video_id"]) for row in batch.letters()) == ["e!", "z!"]
    batch.run({0: ("a", "b"), 1: ("c",), 2: ("d", "e"), 3: ("f",)})
    assert batch.letters() == [] and batch.store.list("dead_letters") == {}


def test_a_run_that_loses_a_video_commits_nothing(batch: Batch) -> None:
    first = batch.run(SHARDS)
    before = {path: data for path, data in batch.objects().items() if "_receipts" not in path}
    with pytest.raises(BalanceError):
        batch.run({**SHARDS, 3: ("f", "g!")}, expected=99)
    after = batch.objects()
    assert load_manifest(batch.store, "features", "features-1", "b") == first
    assert {path: after[path] for path in before} == before  # dead letters included


def test_what_a_killed_writer_left_goes_with_the_next_commit(batch: Batch, tmp_path: Path) -> None:
    leftover = tmp_path / FOLDER / ".part-1234"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    batch.run(SHARDS)
    assert not leftover.exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 3), st.lists(st.sampled_from("abc!"), max_size=2).map(tuple), max_size=4),
            st.none() | st.integers(0, 3),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_whatever_happened_before_a_run_ends_with_what_its_inputs_say(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[dict[int, tuple[str, ...]], int | None]]
) -> None:
    batch = Batch(Store(str(tmp_path_factory.mktemp("history"))))
    for shards, killed_at in [*steps, (SHARDS, None)]:
        try:
            manifest = batch.run(shards, killed_at=killed_at)
        except KilledError:
            continue
        assert {o.shard: batch.store.read(o.path) for o in manifest.outputs} == {
            n: ",".join(v for v in names if "!" not in v).encode() for n, names in shards.items()
        }
        assert set(batch.store.list(FOLDER)) == {o.path for o in manifest.outputs} | {f"{FOLDER}/_manifest.json"}
        rejected = sorted(name for names in shards.values() for name in names if "!" in name)
        assert sorted(str(row["video_id"]) for row in batch.letters()) == rejected


def test_a_plan_is_written_only_when_it_changes(batch: Batch) -> None:
    assert load_plan(batch.store, FOLDER) == ()
    save_plan(batch.store, FOLDER, [("a",), ()])
    save_plan(batch.store, FOLDER, [("a",), ()])
    assert load_plan(batch.store, FOLDER) == (("a",), ()) and batch.store.writes == 1
    batch.run(SHARDS)
    assert load_plan(batch.store, FOLDER) == (("a",), ())  # the sweep leaves the plan


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shares_do_every_shard_once_and_the_last_one_commits_what_one_job_would(
    batch: Batch, tmp_path: Path, order: tuple[int, ...]
) -> None:
    calls: list[int] = []
    for index in order[:-1]:
        part = batch.run(SHARDS, calls=calls, share=Share(index=index, count=3))
        assert len(part.outputs) < 4 and load_manifest(batch.store, "features", "features-1", "b") is None
    whole = batch.run(SHARDS, calls=calls, share=Share(index=order[-1], count=3))
    assert sorted(calls) == [0, 1, 2, 3]
    alone = Batch(Store(str(tmp_path / "alone")))
    assert alone.run(SHARDS) == whole and alone.objects() == {
        path: data for path, data in batch.objects().items() if not path.startswith("alone/")
    }


def test_a_share_that_was_killed_leaves_its_shards_to_the_job_that_commits(batch: Batch) -> None:
    calls: list[int] = []
    batch.run(SHARDS, calls=calls, share=Share(index=1, count=2))
    with pytest.raises(KilledError):
        batch.run(SHARDS, calls=calls, share=Share(index=2, count=2), killed_at=3)
    assert calls == [0, 2, 1]
    assert batch.run(SHARDS, calls=calls).outputs and calls == [0, 2, 1, 3]


def test_a_share_that_does_not_exist_is_named() -> None:
    for index, count in ((0, 2), (3, 2), (1, 0)):
        with pytest.raises(InputError, match=f"{index}/{count}"):
            Share(index=index, count=count)
