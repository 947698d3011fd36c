"""Files that grow, on the page and below `/api/v1`: watched once for all readers, by a process that ends with them."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.applications.test_watch import remux, source_of
from tests.serve.conftest import TOKEN, serving
from tests.serve.hostile_root import HOSTILE
from tests.serve.lines import lines_of, run_python
from tests.small_root import SmallRoot
from videobert.cli.main import parse_command
from videobert.errors import InputError
from videobert.serve import watch_api
from videobert.serve.options import ServeOptions

LONG_AGO = time.time() - 1000


@pytest.fixture(scope="module")
def folder(small_root: SmallRoot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished video whose captions attack the page, a broken one, and what is none of them."""
    folder = tmp_path_factory.mktemp("watched")
    source, _ = source_of(small_root)
    shutil.copy(source, folder / "whole.mp4")
    said = [text for text in HOSTILE[:3] if "-->" not in text]
    cues = [f"00:0{3 * n}.000 --> 00:0{3 * n + 2}.500\n{html.escape(text)}\n" for n, text in enumerate(said)]
    (folder / "whole.vtt").write_text("WEBVTT\n\n" + "\n".join(cues))
    (folder / "broken.mp4").write_bytes(b"no video" * 100)
    (folder / "secret.txt").write_text("secret")
    (folder / "link.mp4").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.mp4")
    for path in folder.iterdir():
        if path.is_file() and not path.is_symlink():
            os.utime(path, (LONG_AGO, LONG_AGO))
    return folder


@pytest.fixture(scope="module")
def client(small_root: SmallRoot, folder: Path) -> Iterator[httpx.Client]:
    with serving(small_root.root, ServeOptions(watch=str(folder), watch_per_hour=1e6)) as client:
        yield client


def ids(client: httpx.Client) -> dict[str, str]:
    """Name -> id of what may be watched."""
    return {one["name"]: one["id"] for one in client.get("/api/v1/watch").json()["files"]}


def states(client: httpx.Client) -> dict[str, str]:
    """Name -> what became of watching it."""
    return {one["name"]: one["state"] for one in client.get("/api/v1/watch").json()["files"]}


def until(client: httpx.Client, path: str, state: str) -> dict[str, Any]:
    """What is told of a file once it is in that state."""
    end = time.monotonic() + 120
    while (told := client.get(path).raise_for_status().json())["state"] != state:
        assert time.monotonic() < end and told["state"] == "running", told
        time.sleep(0.2)
    return dict(told)


def processes() -> list[int]:
    """Those of this process that watch."""
    found = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "videobert.serve.watch_child"], capture_output=True, text=True
    )
    return [int(line) for line in found.stdout.split()]


def test_only_videos_of_the_folder_are_listed(client: httpx.Client, folder: Path) -> None:
    told = client.get("/api/v1/watch").json()
    assert sorted(one["name"] for one in told["files"]) == ["broken.mp4", "whole.mp4"] and told["total"] == 2
    page = client.get("/watch").text
    assert f'href="/watch/{ids(client)["whole.mp4"]}"' in page and "secret.txt" not in page and "link.mp4" not in page
    assert 'href="/watch" aria-current="page"' in page and processes() == []


def test_the_records_of_a_file_are_those_of_the_command(client: httpx.Client, folder: Path) -> None:
    path = f"/api/v1/watch/{ids(client)['whole.mp4']}"
    told = until(client, path, "ended")
    records = told["records"]
    assert [one["number"] for one in records] == list(range(1, len(records) + 1)) and len(records) > 5
    assert client.get(path, params={"after": told["cursor"]}).json()["records"] == []
    assert client.get(path, params={"after": f"{told['begun']}.3"}).json()["records"] == records[3:]
    assert client.get(path, params={"after": "01234567.3"}).json()["records"] == records, "of another watching"
    with client.stream("GET", f"{path}/lines") as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line) for line in answer.iter_lines()] == records
    line, python = lines_of(client.get(f"/watch/{ids(client)['whole.mp4']}"))
    parse_command(shlex.split(line)[1:])
    expected = run_python(python)
    for record, one in zip(records, expected, strict=True):
        assert (record["kind"], record["row_id"], record["text"]) == (one.kind, one.row_id, one.text)
        assert (record["start_seconds"], record["like"], record["forecast"]) == (
            one.start_seconds, one.like, one.forecast,
        )  # fmt: skip
        assert record["surprise"] == pytest.approx(one.surprise, abs=1e-5) and record["alarm"] == one.alarm
    assert {one["kind"] for one in records} == {"clip", "segment", "row"}
    assert states(client)["whole.mp4"] == "ended"


def test_what_is_said_in_a_file_is_text(client: httpx.Client) -> None:
    file_id = ids(client)["whole.mp4"]
    records = until(client, f"/api/v1/watch/{file_id}", "ended")["records"]
    said = " ".join(one["text"] for one in records)
    assert HOSTILE[0] in said or HOSTILE[1] in said, "this proves nothing"
    for path in (f"/watch/{file_id}", f"/watch/{file_id}?part=true"):
        page = client.get(path)
        assert page.status_code == 200 and "unsafe" not in page.headers["content-security-policy"]
        assert not re.search(r"<(script(?! src=\"/static)|img|svg|b>)", page.text)
        assert not re.search(r"<[^<>]* on[a-z]+=", re.sub(r'"[^"]*"', '""', page.text))
        assert html.escape(HOSTILE[1]).replace("&#x27;", "&#39;") in page.text
        assert '<strong class="bad">alarm</strong>' in page.text


def test_a_file_that_cannot_be_watched_says_why(client: httpx.Client, folder: Path) -> None:
    file_id = ids(client)["broken.mp4"]
    told = until(client, f"/api/v1/watch/{file_id}", "failed")
    assert told["error"].startswith(f"file '{folder}/broken.mp4' cannot be used, undecodable"), "as the command says it"
    page = client.get(f"/watch/{file_id}")
    assert f'role="alert">file &#39;{folder}/broken.mp4&#39; cannot be used' in page.text
    with client.stream("GET", f"/api/v1/watch/{file_id}/lines") as answer:
        assert [json.loads(line) for line in answer.iter_lines()] == [{"error": told["error"]}]


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("0123456789abcdef", 404, "no file '0123456789abcdef' to watch; /watch lists"),
        ("whole.mp4", 422, "pattern"),
        ("..%2f..%2fetc%2fpasswd", 404, "nothing is here"),
        ("0123456789abcdef?after=x", 422, "pattern"),
    ],
)
def test_no_request_names_a_path(client: httpx.Client, path: str, status: int, told: str) -> None:
    for where in ("/watch/", "/api/v1/watch/"):
        answer = client.get(where + path)
        assert answer.status_code == status and told in html.unescape(answer.text), answer.text


def test_without_the_token_nothing_is_told_or_begun(client: httpx.Client) -> None:
    before = processes()
    for path in (
        "/watch",
        *(f"{of}/{file_id}" for of in ("/watch", "/api/v1/watch") for file_id in ids(client).values()),
    ):
        assert httpx.get(f"{client.base_url}{path}").status_code == 401
    assert processes() == before


def test_only_some_readers_are_answered_as_it_goes(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is one of the requests that the service takes at the same time."""
    path = f"/api/v1/watch/{ids(client)['whole.mp4']}"
    records = until(client, path, "ended")["records"]
    monkeypatch.setattr(watch_api, "_MOST_STREAMS", 1)
    for _ in range(2):  # one after the other
        assert len(client.get(f"{path}/lines").text.splitlines()) == len(records)
    assert client.get("/api/v1/watch/0123456789abcdef/lines").status_code == 404  # and that reader is gone too
    assert client.get(f"{path}/lines").status_code == 200
    monkeypatch.setattr(watch_api, "_MOST_STREAMS", 0)
    refused = client.get(f"{path}/lines")
    assert refused.status_code == 503 and "readers follow files already" in refused.json()["error"]
    assert refused.headers["retry-after"] == "1" and client.get(path).status_code == 200


def test_a_growing_file_is_watched_once_for_all_and_until_the_last_has_left(
    small_root: SmallRoot, tmp_path: Path
) -> None:
    source, _ = source_of(small_root)
    remux(source, tmp_path / "whole.ts")
    data = (tmp_path / "whole.ts").read_bytes()
    live, other = tmp_path / "in" / "live.ts", tmp_path / "in" / "other.ts"
    live.parent.mkdir()
    options = ServeOptions(
        watch=f"{live}, {other}", watchers=1, watch_records=4, watch_seconds=60, watch_left_seconds=4
    )
    with serving(small_root.root, options) as client:
        assert "There is no video at" in client.get("/watch").text
        live.write_bytes(data[: len(data) // 3])  # fewer records than are kept, so that none is lost to a slow reader
        other.write_bytes(data)
        time.sleep(options.fresh_seconds)
        path = f"/api/v1/watch/{ids(client)['live.ts']}"
        begun = client.get(path).json()
        assert (begun["state"], begun["records"]) == ("running", [])
        page = client.get(path.removeprefix("/api/v1"))
        assert "It is watched." in page.text and begun["begun"] in page.text, "another watching"
        refused = client.get(f"/api/v1/watch/{ids(client)['other.ts']}")
        assert refused.status_code == 503 and "1 files are watched, as many as may be" in refused.json()["error"]
        with client.stream("GET", f"{path}/lines") as answer:
            records = (json.loads(line) for line in answer.iter_lines())
            first = next(records)
            assert (first["number"], first["kind"]) == (1, "clip") and len(processes()) == 1
            with live.open("ab") as sink:
                sink.write(data[len(data) // 3 :])
            while next(records)["number"] < 8:
                pass
            state = client.get(path).json()
            assert state["begun"] == begun["begun"] and len(state["records"]) == 4, "only the last ones are kept"
            time.sleep(options.watch_left_seconds + 1)
            assert len(processes()) == 1, "a reader of lines is a reader"
        end = time.monotonic() + 20
        while processes():
            assert time.monotonic() < end
            time.sleep(0.2)
        assert states(client) == {"live.ts": "left", "other.ts": ""}
        again = client.get(path).json()
        assert again["state"] == "running" and again["begun"] != begun["begun"]
    assert processes() == []


def test_a_service_that_was_told_of_nothing_says_how_to_name_it(small_root: SmallRoot) -> None:
    with serving(small_root.root) as client:
        assert client.get("/api/v1/watch").json() == {"places": [], "files": [], "total": 0}
        assert "--options.watch FOLDER" in client.get("/watch").text
    with pytest.raises(InputError, match="is an address; give files of this machine"):
        ServeOptions(watch="s3://bucket/videos")
    for nothing in (",", " , ", "a\0b"):
        with pytest.raises(InputError, match="names nothing; give a folder"):
            ServeOptions(watch=nothing)
    with pytest.raises(InputError, match="watch_per_hour=-1"):
        ServeOptions(watch_per_hour=-1)


def test_a_signal_ends_answers_that_go_on(small_root: SmallRoot, tmp_path: Path) -> None:
    (tmp_path / "live.ts").write_bytes(b"")  # nothing comes of it for a minute
    command = [sys.executable, "-m", "videobert", "serve", "--root", small_root.root, "--token", TOKEN]
    process = subprocess.Popen(
        [*command, "--options.watch", str(tmp_path), "--options.watch-seconds", "60"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        bearer = {"authorization": f"Bearer {TOKEN}"}
        (file_id,) = (one["id"] for one in httpx.get(f"{url}/api/v1/watch", headers=bearer, timeout=60).json()["files"])
        with httpx.stream("GET", f"{url}/api/v1/watch/{file_id}/lines", headers=bearer, timeout=60) as answer:
            assert answer.status_code == 200
            process.send_signal(signal.SIGTERM)
            assert json.loads(answer.read())["error"].startswith("the service ends")
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=9)  # less than what answers are waited for
    assert process.returncode == 0 and "Traceback" not in err and "CancelledError" not in err, err
