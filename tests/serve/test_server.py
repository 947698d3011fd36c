"""`videobert serve` as a process: the printed URL, and an end that lets answers finish."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

import videobert
from tests.serve.conftest import TOKEN
from tests.small_root import SmallRoot

COMMAND = [sys.executable, "-m", "videobert", "serve"]


def test_it_prints_one_url_that_works_and_ends_gracefully(small_root: SmallRoot) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VIDEOBERT_TOKEN"}
    process = subprocess.Popen(
        [*COMMAND, "--root", small_root.root],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        token = url.partition("?token=")[2]
        with httpx.Client(follow_redirects=True, timeout=60) as browser:
            assert browser.get(url.replace("/?", "/api/v1/current?")).json()["model_spec"]
            base = url.partition("/?")[0]
            with browser.stream("GET", f"{base}/api/v1/status") as answer:
                process.send_signal(signal.SIGTERM)
                assert answer.read().startswith(b"[")
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == "" and token not in err and len(token) > 40
    assert err.count('"route": "/api/v1/status"') == 1


def test_a_second_signal_ends_it_at_once_and_without_a_traceback(small_root: SmallRoot) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--root", small_root.root, "--token", TOKEN], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    url = urlsplit(process.stdout.readline().strip())
    with socket.create_connection((url.hostname or "", url.port or 0)) as slow:
        head = (
            f"POST /api/v1/search/vector HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 9\r\n"
        )
        slow.sendall(f"{head}content-type: application/json\r\n\r\n[".encode())
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None, "it did not wait for its running answer"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=8)
    assert process.returncode == 0 and "Traceback" not in err and "Error" not in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--host", "192.0.2.1"], "cannot be listened on"),
        (["--port", "70000"], "port 70000 is none"),
        (["--token", "short"], "the token has 5 characters"),
    ],
)
def test_what_cannot_be_served_is_refused(tmp_path: Path, arguments: list[str], told: str) -> None:
    command = [*COMMAND, "--root", str(tmp_path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and told in done.stderr


def test_every_line_of_the_log_is_json(small_root: SmallRoot) -> None:
    """Also what uvicorn says of bytes that are no request, and what the search says."""
    process = subprocess.Popen(
        [*COMMAND, "--root", small_root.root, "--token", TOKEN], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": str(Path(videobert.__file__).parents[1])},  # the tested code
    )  # fmt: skip
    try:
        assert process.stdout is not None
        base = process.stdout.readline().strip()
        url = urlsplit(base)
        with socket.create_connection((url.hostname or "", url.port or 0)) as stranger:
            stranger.sendall(b"no request\r\n\r\n")
            assert b"400" in stranger.recv(100)
        asked = {"text": "a question", "probes": "1"}
        answer = httpx.get(
            f"{base}/api/v1/search", params=asked, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60
        )
        assert answer.status_code == 200, answer.text
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    lines = [json.loads(line) for line in err.splitlines()]
    told = [line["line"] for line in lines]
    assert "Invalid HTTP request received." in told and any("no index serves" in str(line) for line in told)
    assert any(isinstance(line, dict) and line["route"] == "/api/v1/search" for line in told)
    assert "a question" not in err and TOKEN not in err
