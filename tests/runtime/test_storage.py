"""Whole objects or none, on local files and on a store without rename."""

from __future__ import annotations

import glob
import hashlib
import multiprocessing
import os
import pickle
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from videobert.errors import ConflictError, InputError, VideoError
from videobert.runtime.filesystem import fetch, open_filesystem
from videobert.runtime.storage import Store, file_sha256, sha256


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store on each kind of filesystem: with rename, and with single puts."""
    if request.param == "file":
        yield Store(str(tmp_path / "root"))
        return
    root = f"memory://{uuid.uuid4().hex}"
    yield Store(root)
    if MemoryFileSystem().exists(root):
        MemoryFileSystem().rm(root, recursive=True)


def test_ranges_of_an_object(store: Store) -> None:
    store.write("a/b", bytes(range(100)))
    assert store.read_ranges("a/b", [(90, 200), (3, 5)]) == [bytes(range(90, 100)), b"\x03\x04"]
    assert store.read_ranges("a/b", []) == []


def test_what_is_written_is_read_and_listed(store: Store) -> None:
    store.write("a/b/00001.bin", b"two")
    store.write("a/00000.bin", b"first")
    assert store.read("a/00000.bin") == b"first"
    assert store.list("a") == {"a/00000.bin": 5, "a/b/00001.bin": 3}
    assert store.list("") == store.list("a")
    assert list(store.folders("a")) == ["b"]
    assert store.exists("a/00000.bin") and store.exists("a/b") and not store.exists("b")
    assert store.writes == 2


def test_a_write_replaces_the_whole_object(store: Store) -> None:
    store.write("x", b"a long first version")
    store.write("x", b"short")
    assert store.read("x") == b"short" and store.list("") == {"x": 5}


def test_what_is_missing_is_said_or_passed_over(store: Store) -> None:
    assert store.read_or_none("nothing") is None
    assert store.list("nothing") == {} and list(store.folders("nothing")) == []
    with pytest.raises(FileNotFoundError):
        store.read("nothing")
    store.write("x", b"1")
    store.delete(["nothing", "x", "x"])
    assert store.list("") == {}


def test_many_are_read_in_order_and_what_is_missing_is_none(store: Store) -> None:
    for number in range(300):
        store.write(f"a/{number}", str(number).encode())
    paths = [f"a/{number}" for number in (7, 299, 300, *range(290))]
    expected = [b"7", b"299", None, *(str(number).encode() for number in range(290))]
    assert list(store.read_many(paths)) == list(zip(paths, expected, strict=True))
    assert list(store.read_many([])) == []


def test_files_travel_both_ways(store: Store, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(3 << 20))
    store.upload(source, "folder/object")
    store.download("folder/object", back)
    assert file_sha256(back) == file_sha256(source) == hashlib.sha256(source.read_bytes()).hexdigest()
    with store.open("folder/object") as reader:
        reader.seek(1 << 20)
        assert reader.read(4) == source.read_bytes()[1 << 20 : (1 << 20) + 4]


def test_a_store_travels_to_a_worker(store: Store) -> None:
    store.write("x", b"1")
    there: Store = pickle.loads(pickle.dumps(store))  # what a process pool and Ray do
    assert there.root == store.root and there.read("x") == b"1"
    assert store.url("x").startswith(store.root)


def test_checking_the_root_leaves_nothing_behind(store: Store) -> None:
    store.write("x", b"1")
    store.check_root()
    assert store.list("") == {"x": 1} and store.writes == 2


def test_a_root_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written"):
        Store(str(tmp_path / "file" / "root")).check_root()


def test_a_failing_write_leaves_the_former_object_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    store.write("d/x.parquet", b"former")

    def full_disk(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        store.write("d/x.parquet", b"the next version")
    with pytest.raises(OSError, match="No space"):
        store.write("d/y.parquet", b"another")
    assert store.list("d") == {"d/x.parquet": 6} and store.read("d/x.parquet") == b"former"


def test_a_write_is_renamed_only_when_it_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        events.append("fsync")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        events.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    Store(str(tmp_path)).write("x", b"1")
    assert events == ["fsync", "rename", "fsync"]  # the bytes, the name, the folder that holds the name


def _write_for_ever(root: str) -> None:
    store = Store(root)
    while True:
        store.write("d/00000.parquet", b"0123456789" * 500_000)


def test_a_killed_writer_leaves_nothing_that_looks_like_an_object(tmp_path: Path) -> None:
    target = tmp_path / "d" / "00000.parquet"
    writer = multiprocessing.get_context("spawn").Process(target=_write_for_ever, args=(str(tmp_path),))
    writer.start()
    while not list(tmp_path.rglob(".part-*")) or not target.exists():
        time.sleep(0.001)
    writer.kill()
    writer.join()
    assert glob.glob(str(tmp_path / "d" / "*")) == [str(target)]  # temporaries are hidden from a glob
    assert [p.name for p in (tmp_path / "d").rglob("*.parquet")] == [target.name]
    assert target.stat().st_size == 5_000_000


def test_a_commit_over_what_somebody_else_wrote_meanwhile_is_refused(store: Store) -> None:
    store.commit("m", b"1", former=None)
    store.commit("m", b"2", former=b"1")
    for former in (None, b"1"):
        with pytest.raises(ConflictError, match="run this one again"):
            store.commit("m", b"3", former=former)
    assert store.read("m") == b"2"
    store.commit("m", b"2", former=b"1")  # both had the same to say


def _append(root: str, letter: bytes, number: int) -> None:
    store, done = Store(root), 0
    while done < number:
        former = store.read("text")
        try:
            store.commit("text", former + letter, former=former)
            done += 1
        except ConflictError:
            continue


def test_what_is_created_stands_under_nobody_elses_bytes(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "local"
    file.write_bytes(b"from a file")
    assert store.create("a/x", b"first") and store.create("a/x", b"first")
    assert not store.create("a/x", b"other") and not store.create("a/x", file)
    assert store.read("a/x") == b"first"
    assert store.create("a/y", file) and store.create("a/y", b"from a file") and not store.create("a/y", b"")
    assert store.list("") == {"a/x": 5, "a/y": 11}


def test_of_two_writers_none_overwrites_the_other_unseen(tmp_path: Path) -> None:
    Store(str(tmp_path)).write("text", b"")
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_append, args=(str(tmp_path), letter, 60)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(Store(str(tmp_path)).read("text")) == sorted(b"a" * 60 + b"b" * 60)


def test_a_temporary_that_another_run_swept_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, replace, swept = Store(str(tmp_path)), os.replace, list[str]()

    def sweep_once(source: Path, target: Path) -> None:
        if not swept:
            swept.append(str(source))
            store.sweep("d", keep=())
        replace(source, target)

    monkeypatch.setattr(os, "replace", sweep_once)
    store.write("d/x", b"1")
    assert swept and store.list("") == {"d/x": 1}


def test_a_sweep_leaves_what_is_to_be_kept_and_no_empty_folder(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for path in ("d/keep", "d/step-1/a", "d/step-1/.part-1", "d/step-2/b", "e/x"):
        store.write(path, b"1")
    store.sweep("d", keep={"d/keep", "d/step-2/b"})
    assert list(store.list("")) == ["d/keep", "d/step-2/b", "e/x"]
    assert not (tmp_path / "d" / "step-1").exists()


def test_an_unknown_protocol_is_an_input_error() -> None:
    with pytest.raises(InputError, match="nosuch"):
        open_filesystem("nosuch://bucket/x")


@pytest.mark.parametrize("name", ["a::b.mp4", "x::memory:", "simplecache::file:", "50%.mp4", "a b#c?d.mp4", "[1]*.mp4"])
def test_a_name_is_taken_literally(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"video")
    store = Store(str(tmp_path))
    assert fetch(f"file://{tmp_path}/{name}", tmp_path / "copy") == sha256(b"video")
    assert store.read(name) == b"video" and name in store.list("")


def test_fetch_tells_what_it_copied(tmp_path: Path) -> None:
    data = os.urandom((2 << 20) + 17)
    (tmp_path / "in").write_bytes(data)
    assert fetch(f"file://{tmp_path}/in", tmp_path / "out") == sha256(data)
    assert (tmp_path / "out").read_bytes() == data


def test_a_video_that_vanished_is_its_own_matter(tmp_path: Path) -> None:
    with pytest.raises(VideoError) as caught:
        fetch(f"file://{tmp_path}/none.mp4", tmp_path / "out")
    assert caught.value.reason == "vanished"


class _Forbidden(MemoryFileSystem):  # type: ignore[misc]
    """A bucket of which one object may not be read, as s3fs tells it."""

    protocol = "forbidden"

    def open(self, *args: Any, **kwargs: Any) -> Any:
        raise PermissionError("Access Denied")


def test_a_video_that_may_not_be_read_is_its_own_matter(tmp_path: Path) -> None:
    fsspec.register_implementation("forbidden", _Forbidden, clobber=True)
    with pytest.raises(VideoError) as caught:
        fetch("forbidden://bucket/x.mp4", tmp_path / "out")
    assert caught.value.reason == "forbidden" and "Access Denied" in str(caught.value)


def test_the_digest_of_bytes_and_of_a_file_is_that_of_the_standard(tmp_path: Path) -> None:
    """FIPS 180-4's own example, and the million letters that make a file longer than one read."""
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "million").write_bytes(b"a" * 1_000_000)
    assert file_sha256(tmp_path / "million") == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
