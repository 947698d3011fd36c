"""Clips, pictures and whole videos of rows: the right bytes, the right second, under a bound."""

from __future__ import annotations

import io
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import av
import httpx
import numpy as np
import pyarrow.compute as pc
import pytest

import videobert
from tests.serve.conftest import serving
from tests.serve.frames import difference, frames, shown_at
from tests.serve.sound_root import copy_with_sound
from tests.small_root import SmallRoot
from videobert.api import Hit
from videobert.runtime.dead_letters import write_dead_letters
from videobert.runtime.manifest import Reject, load_manifest
from videobert.runtime.storage import Store
from videobert.serve.cache import FileCache
from videobert.serve.ranges import parse_range
from videobert.serve.scratch import Scratch


@pytest.fixture(scope="module")
def row(small_root: SmallRoot) -> Hit:
    """One that does not begin with its video."""
    return next(hit for hit in videobert.open(small_root.root).search("egg", top=50) if hit.start_seconds > 3)


def test_a_video_comes_whole_and_in_parts_as_it_lies_at_its_source(client: httpx.Client, row: Hit) -> None:
    url, wanted = f"/api/v1/rows/{row.row_id}/video", Path(urlsplit(row.source_uri).path).read_bytes()
    whole = client.get(url)
    assert (whole.status_code, whole.content) == (200, wanted) and whole.headers["accept-ranges"] == "bytes"
    for header, part in (("bytes=0-0", wanted[:1]), ("bytes=100-299", wanted[100:300]), ("bytes=-7", wanted[-7:])):
        answer = client.get(url, headers={"range": header})
        assert (answer.status_code, answer.content) == (206, part)
        assert answer.headers["content-range"].endswith(f"/{len(wanted)}")
    assert client.get(url, headers={"range": f"bytes={len(wanted)}-"}).status_code == 416
    assert whole.headers["content-type"] == "video/mp4"


def test_a_clip_begins_and_ends_where_its_row_does(client: httpx.Client, row: Hit) -> None:
    source = frames(client.get(f"/api/v1/rows/{row.row_id}/video").content)
    clip = frames(client.get(f"/api/v1/rows/{row.row_id}/clip.mp4").content)
    assert clip[0][0] == 0 and clip[-1][0] < row.end_seconds - row.start_seconds
    assert clip[-1][0] > row.end_seconds - row.start_seconds - 0.2
    for at, image in clip[:: len(clip) // 4]:
        assert difference(image, shown_at(source, row.start_seconds + at)) < 4
    assert difference(clip[0][1], shown_at(source, 0)) > 4, "the row looks like the beginning; this proves nothing"


@pytest.mark.parametrize(
    ("codec", "suffix", "plays"),
    [
        ("ac3", ".mp4", False), ("pcm_s16le", ".mov", False), ("ac3", ".mkv", False), ("aac", ".mp4", True),
        ("libopus", ".mp4", True),
    ],
)  # fmt: skip
def test_sound_that_browsers_do_not_play_is_not_sent_to_them_as_it_is(
    small_root: SmallRoot, tmp_path: Path, row: Hit, codec: str, suffix: str, plays: bool
) -> None:
    url = f"/api/v1/rows/{row.row_id}"
    with serving(copy_with_sound(small_root, tmp_path / "demo", row, codec=codec, suffix=suffix)) as client:
        assert client.get(url).json()["plays_in_browsers"] is plays
        asked = client.get(f"{url}/video", params={"playable": True})
        assert asked.status_code == (200 if plays else 406), asked.text[:200]
        as_it_came = client.get(f"{url}/video").content
        assert as_it_came == (tmp_path / "demo" / f"{row.video_id}{suffix}").read_bytes()
        assert plays or "clip.mp4" in asked.json()["error"]
        with av.open(io.BytesIO(client.get(f"{url}/clip.mp4").content), "r") as clip:
            assert (clip.streams.video[0].codec.canonical_name, clip.streams.audio[0].codec.canonical_name) == (
                "h264", "aac",
            )  # fmt: skip
            loud = [np.abs(frame.to_ndarray()).max() for frame in clip.decode(audio=0)]
        assert np.median(loud) > 0.2


def test_a_picture_is_what_is_on_screen_then(client: httpx.Client, row: Hit) -> None:
    source = frames(client.get(f"/api/v1/rows/{row.row_id}/video").content)
    for at in (0.0, row.start_seconds, 1e6):
        answer = client.get(f"/api/v1/rows/{row.row_id}/picture.jpg", params={"at": at})
        assert answer.headers["content-type"] == "image/jpeg"
        ((_, image),) = frames(answer.content)
        assert difference(image, shown_at(source, at)) < 6
    small = frames(client.get(f"/api/v1/rows/{row.row_id}/picture.jpg?width=64").content)[0][1]
    assert small.shape[1] == 64
    assert client.get(f"/api/v1/rows/{row.row_id}/picture.jpg?at=nan").status_code == 422


def test_a_dead_letter_shows_the_picture_at_which_its_video_broke(small_root: SmallRoot, tmp_path: Path) -> None:
    """Of a video that lies in a shard; its address is never opened, and what came into no shard has no picture."""
    shutil.copytree(small_root.root, tmp_path / "demo")
    root, store = videobert.open(str(tmp_path / "demo")), Store(str(tmp_path / "demo"))
    hit = root.search("egg", top=1)[0]
    features = load_manifest(store, "features", small_root.specs["features"], hit.batch)
    shard = root.embeddings().to_table(columns=["shard"], filter=pc.field("row_id") == hit.row_id)["shard"][0].as_py()
    assert features is not None
    reject = Reject(
        video_id=hit.video_id, uri="http://192.0.2.1/", reason="damaged", message="", salvageable_seconds=2.0
    )
    outputs = tuple(replace(o, rejects=(reject,) if o.shard == shard else ()) for o in features.outputs)
    write_dead_letters(store, replace(features, outputs=outputs))
    with serving(store.root) as client:
        asked = {"batch": hit.batch, "stage": "features", "video": hit.video_id}
        answer = client.get("/api/v1/dead-letters/picture.jpg", params=asked)
        assert answer.headers["content-type"] == "image/jpeg"
        source = frames(client.get(f"/api/v1/rows/{hit.row_id}/video").content)
        ((_, image),) = frames(answer.content)
        wanted = shown_at(source, 2.0)
        assert image.shape == wanted.shape and difference(image, wanted) < 6 < difference(image, shown_at(source, 9.0))
        page = client.get("/dead-letters?reason=damaged").text
        assert f"picture.jpg?batch={hit.batch}&amp;stage=features&amp;video={hit.video_id}" in page
        assert "--where damaged" in page
        ingest = next(letter for letter in root.dead_letters() if letter.stage == "ingest")
        asked = {"batch": ingest.batch, "stage": "ingest", "video": ingest.video_id}
        assert client.get("/api/v1/dead-letters/picture.jpg", params=asked).status_code == 400
        assert client.get("/api/v1/dead-letters/picture.jpg", params=asked | {"video": "none"}).status_code == 404


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None), ("bytes=0-", (0, 9)), ("bytes=3-5", (3, 5)), ("bytes=3-99", (3, 9)), ("bytes=-3", (7, 9)),
        ("bytes=-99", (0, 9)), ("bytes=5-3", None), ("bytes=0-1,3-4", None), ("items=0-1", None), ("bytes=-", None),
        ("bytes=\u0663-", None),
    ],
)  # fmt: skip
def test_ranges_are_read_as_the_standard_says(header: str, expected: tuple[int, int] | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=-0", "bytes=999999999-"])
def test_a_range_beyond_the_end_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="bytes"):
        parse_range(header, 10)


def test_the_cache_keeps_its_bound_and_what_is_in_use(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 100)
    made: list[str] = []

    def write(name: str) -> Callable[[Path], None]:
        def make(path: Path) -> None:
            made.append(name)
            path.write_bytes(b"x" * 60)

        return make

    with cache.file("a", write("a")) as held:
        for name in "bcd":
            with cache.file(name, write(name)):
                pass
        assert held.read_bytes() and cache.bytes == 60
    with cache.file("a", write("a")):
        pass
    assert made == ["a", "b", "c", "d"]


def test_the_cache_makes_a_file_once_for_all_who_wait_and_again_after_a_failure(tmp_path: Path) -> None:
    cache, tries = FileCache(tmp_path, 1000), []

    def fail(_: Path) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"), cache.file("a", fail):
        pass

    def slow(path: Path) -> None:
        tries.append(path)
        time.sleep(0.05)
        path.write_bytes(b"x")

    def ask() -> None:
        with cache.file("a", slow) as path:
            assert path.read_bytes() == b"x"

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tries) == 1


def test_folders_of_killed_processes_go_and_those_of_living_ones_stay() -> None:
    living, killed = Scratch(), Scratch()
    upload = killed.folder()
    (upload / "video.mp4").write_bytes(b"x")
    killed._alive.close()  # as the kernel does for a process that dies
    Scratch().close()
    assert living.path.exists() and not upload.exists() and not killed.path.exists()
    living.close()
    assert not living.path.exists()
