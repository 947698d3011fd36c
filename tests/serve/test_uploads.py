"""Sentences and videos that are in no batch: embedded as a batch would, in a process that can be ended."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pyarrow.compute as pc
import pytest
from PIL import Image

import videobert
from tests.serve.conftest import TOKEN, serving
from tests.serve.lines import lines_of, run_python
from tests.small_root import SmallRoot
from videobert.cli.main import parse_command
from videobert.embed.online import recipe_of
from videobert.errors import InputError
from videobert.runtime.storage import Store
from videobert.serve.jobs import BusyError, Jobs
from videobert.serve.options import ServeOptions
from videobert.video.limits import DecoderLimits

pytestmark = pytest.mark.slow


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """Its state once it is over."""
    until = time.monotonic() + 240
    while job["state"] in ("waiting", "running"):
        assert time.monotonic() < until, job
        time.sleep(0.2)
        job = client.get(f"/api/v1/jobs/{job['id']}").json()
    return job


def upload(client: httpx.Client, video: Path | bytes, name: str = "a.mp4", **captions: Path) -> httpx.Response:
    files: dict[str, Any] = {"video": (name, video if isinstance(video, bytes) else video.read_bytes())}
    files |= {kind: (path.name, path.read_bytes()) for kind, path in captions.items()}
    return client.post("/api/v1/videos", files=files)


def test_a_sentence_is_the_vector_that_searches_take(client: httpx.Client, small_root: SmallRoot) -> None:
    root = videobert.open(small_root.root)
    vector = client.get("/api/v1/embed", params={"text": "stir the egg"}).json()["embedding"]
    assert vector == root.encode("stir the egg").tolist()
    assert client.get("/api/v1/embed", params={"text": ""}).status_code == 422


def test_a_video_gets_the_vectors_that_its_batch_gave_it(
    client: httpx.Client, small_root: SmallRoot, capsys: pytest.CaptureFixture[str]
) -> None:
    root = videobert.open(small_root.root)
    hit = root.search("egg", top=1)[0]
    video = Path(urlsplit(hit.source_uri).path)
    answer = upload(client, video, "any name.mp4", captions=video.with_suffix(".vtt"))
    assert answer.status_code == 202 and answer.json()["state"] in ("waiting", "running")
    job = ended(client, answer.json())
    assert (job["state"], job["error"], job["progress"]) == ("done", "", 1.0)
    ours = root.embeddings().to_table(filter=pc.field("video_id") == hit.video_id).to_pylist()
    assert {row["row_id"]: row["embedding"] for row in job["rows"]} == {r["row_id"]: r["embedding"] for r in ours}
    segment = next(row for row in job["rows"] if row["level"] == "segment")
    stretch = {"from": segment["start_seconds"], "to": segment["end_seconds"], "top": 1}
    (found,) = client.get(f"/api/v1/jobs/{job['id']}/search", params=stretch).json()["hits"]
    assert (found["hit"]["row_id"], found["hit"]["score"]) == (segment["row_id"], pytest.approx(1))
    page = client.get(f"/jobs/{job['id']}")
    assert segment["row_id"] in page.text
    line, python = lines_of(page)
    parse_command([word.replace("FILE", str(video)) for word in shlex.split(line)[1:]]).execute()
    printed = [told.split()[-1] for told in capsys.readouterr().out.splitlines()]
    assert printed == [hit.row_id for hit in run_python(python.replace("FILE", str(video)))]
    assert [row_id for row_id in printed if f'data-copy="{row_id}"' in page.text] == printed
    line, python = lines_of(client.get(f"/jobs/{job['id']}", params=stretch))
    assert f"--root {client.base_url} --file FILE" in line and "to_seconds=" in python
    parse_command(shlex.split(line)[1:])
    none = client.get(f"/api/v1/jobs/{job['id']}/search", params={"from": 1e6})
    assert none.status_code == 400 and "no segment" in none.json()["error"]


def test_a_picture_asks_as_it_does_on_the_command_line(
    client: httpx.Client, small_root: SmallRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOBERT_TOKEN", TOKEN)
    picture, remote = tmp_path / 'a "b".PNG', videobert.open(str(client.base_url))
    Image.fromarray(np.random.default_rng(0).integers(255, size=(90, 122, 3), dtype=np.uint8)).save(picture)
    hits = videobert.open(small_root.root).search(file=str(picture), top=3)
    assert remote.search(file=str(picture), top=3) == hits
    picture.write_bytes(b"no picture")
    with pytest.raises(InputError, match="no picture that can be read"):
        remote.search(file=str(picture))


def test_a_video_that_cannot_be_used_says_why_and_not_where_it_lay(client: httpx.Client) -> None:
    job = ended(client, upload(client, b"no video").json())
    assert job["state"] == "failed" and job["error"].startswith("undecodable: ") and "/tmp" not in job["error"]
    assert client.get(f"/api/v1/jobs/{job['id']}/search").status_code == 400


@pytest.mark.parametrize(
    ("name", "told"), [("a", "ends with ''"), ("a.mp4/..", "ends with ''"), ("a.m p", "ends with")]
)
def test_only_the_ending_of_a_name_is_used(client: httpx.Client, name: str, told: str) -> None:
    answer = upload(client, b"x", name)
    assert answer.status_code == 400 and told in answer.json()["error"]


def test_more_than_the_limit_is_refused_while_it_comes(small_root: SmallRoot) -> None:
    with serving(small_root.root, ServeOptions(most_upload_bytes=100_000)) as client:
        assert upload(client, b"x" * 1_000_000).status_code == 413


def test_jobs_wait_in_line_and_end_when_they_are_cancelled(small_root: SmallRoot, tmp_path: Path) -> None:
    jobs = Jobs(small_root.root, ServeOptions(most_waiting=1))
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        (folder / "videos").mkdir(parents=True)
    first = jobs.submit(folders[0], small_root.specs["embed"])
    while first.process is None:
        time.sleep(0.01)
    second = jobs.submit(folders[1], small_root.specs["embed"])
    with pytest.raises(BusyError, match="1 videos wait"):
        jobs.submit(folders[2], small_root.specs["embed"])
    process = first.process
    jobs.cancel(second)
    jobs.cancel(first)
    process.wait(10)
    jobs.close()
    assert (first.state, second.state) == ("cancelled", "cancelled")
    assert not folders[0].exists() and not folders[1].exists()


def test_another_encoder_than_the_models_is_refused(small_root: SmallRoot, tmp_path: Path) -> None:
    store, spec = Store(small_root.root), small_root.specs["embed"]
    assert recipe_of(store, spec, encoder="packaged", videos=tmp_path, limits=DecoderLimits()).features.fps == 20
    with pytest.raises(InputError, match="unknown"):
        recipe_of(store, spec, encoder="none", videos=tmp_path, limits=DecoderLimits())
