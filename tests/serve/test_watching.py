"""Who watches a file that changes, by a process that says what the test wants; no model runs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.small_root import SmallRoot
from videobert.serve.answers import NotFoundError
from videobert.serve.fresh import FreshRoot
from videobert.serve.options import ServeOptions
from videobert.serve.scratch import Scratch
from videobert.serve.watcher import Watcher
from videobert.serve.watchers import Watchers

CLIP = json.dumps({"record": {
    "kind": "clip", "row_id": "", "start_seconds": 0.0, "end_seconds": 1.5, "text": "", "labels": {}, "caption": "",
    "like": "", "forecast": "", "next_tokens": [], "surprise": -1.0, "distance": -1.0, "expected_per_hour": -1.0,
    "alarm": False, "model": "m",
}})  # fmt: skip
DONE = json.dumps({"error": ""})
Begin = Callable[..., Watchers]


@pytest.fixture
def begin(small_root: SmallRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Watchers of `tmp_path/in`, whose process runs lines of a shell."""
    scratch, made = Scratch(), list[Watchers]()
    (tmp_path / "in").mkdir()

    def begin(script: str, watch_seconds: float = 10.0) -> Watchers:
        program = tmp_path / "process"
        program.write_text(f"#!/bin/sh\nread order\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        root = FreshRoot(small_root.root, fresh_seconds=60, models=1)
        made.append(Watchers(root, scratch, ServeOptions(watch=str(tmp_path / "in"), watch_seconds=watch_seconds)))
        return made[-1]

    yield begin
    for watchers in made:
        watchers.close()
    scratch.close()


def ended(watcher: Watcher) -> Watcher:
    end = time.monotonic() + 20
    while watcher.state == "running":
        assert time.monotonic() < end
        time.sleep(0.02)
    return watcher


def only(watchers: Watchers) -> str:
    (one,) = watchers.files().files
    return one.id


def test_what_a_file_told_is_kept_when_it_is_gone(begin: Begin, tmp_path: Path) -> None:
    video = tmp_path / "in" / "a.mp4"
    video.write_bytes(b"video")
    watchers = begin(f"echo '{CLIP}'; echo '{DONE}'")
    first = ended(watchers.watcher(only(watchers)))
    video.rename(tmp_path / "b.mp4")
    again = watchers.watcher(only(watchers))
    assert again is first and len(again.since("").records) == 1 and again.state == "ended"


def test_a_file_that_became_a_link_after_it_was_listed_is_not_watched(begin: Begin, tmp_path: Path) -> None:
    video = tmp_path / "in" / "a.mp4"
    video.write_bytes(b"video")
    watchers = begin(f"echo '{DONE}'")
    file_id = only(watchers)
    video.rename(tmp_path / "b.mp4")
    video.symlink_to(tmp_path / "b.mp4")
    with pytest.raises(NotFoundError, match="there is no file"):
        watchers.watcher(file_id)


def test_a_file_that_grew_after_its_last_clip_is_watched_anew(begin: Begin, tmp_path: Path) -> None:
    video = tmp_path / "in" / "a.ts"
    video.write_bytes(b"video")
    wait = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    watchers = begin(f"sleep 1.1; echo '{CLIP}'; {wait}; echo '{DONE}'", watch_seconds=1)
    file_id = only(watchers)
    video.touch()
    first = watchers.watcher(file_id)
    assert first.follow == 1
    while not first.since("").records:
        time.sleep(0.02)
    (tmp_path / "go").touch()
    assert ended(first) is watchers.watcher(file_id), "it is as it was"
    with video.open("ab") as sink:
        sink.write(b"more")
    second = watchers.watcher(file_id)
    (tmp_path / "go").unlink()
    assert second is not first and second.follow == 1
    while not second.since("").records:
        time.sleep(0.02)
    with video.open("ab") as sink:
        sink.write(b"and more, before it was done")
    (tmp_path / "go").touch()
    ended(second)
    assert second.state == "ended" and watchers.watcher(file_id) is not second


def test_a_process_that_tells_no_record_is_a_failure(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "in" / "a.mp4").write_bytes(b"video")
    for said in ("no json", "3", "{}", json.dumps({"record": {"kind": "clip"}})):
        watchers = begin(f"echo '{said}'; sleep 60")
        failed = ended(watchers.watcher(only(watchers)))
        assert failed.state == "failed" and "told what is no record" in failed.since("").error


def test_what_goes_while_a_folder_is_listed_is_left_out(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in" / "b.mp4").write_bytes(b"video")
    monkeypatch.setattr(os, "listdir", lambda place: ["gone.mp4", "b.mp4"])
    assert [one.name for one in begin("").files().files] == ["b.mp4"]
