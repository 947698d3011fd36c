"""Nothing without the token, and the token nowhere but where it was sent."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.serve.conftest import TOKEN, serving
from videobert.errors import InputError
from videobert.serve.access import Access
from videobert.serve.gate import Gate
from videobert.serve.metrics import Metrics
from videobert.serve.options import ServeOptions


def test_every_route_but_the_probes_wants_the_token(client: httpx.Client, stranger: httpx.Client) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    asked = [path.replace("{", "").replace("}", "") for path in paths] + ["/", "/metrics", "/api/openapi.json", "/none"]
    assert len(asked) > 15
    for path in asked:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"cookie": f"a={TOKEN}"}):
            assert stranger.get(path, headers=headers).status_code == 401, path
    assert stranger.get("/?token=wrong").status_code == 401
    assert stranger.get("/healthz").text == "ok" and stranger.get("/readyz").text == "ready"


def test_the_printed_url_lets_a_browser_in_and_leaves_no_token(stranger: httpx.Client) -> None:
    with httpx.Client(base_url=stranger.base_url) as browser:
        answer = browser.get(f"/api/v1/current?token={TOKEN}&a=b")
        assert (answer.status_code, answer.headers["location"]) == (303, "/api/v1/current?a=b")
        cookie = answer.headers["set-cookie"]
        assert TOKEN not in cookie and "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert browser.get("/api/v1/current").status_code == 200
        assert browser.get(f"/?token={TOKEN}").headers["location"] == "/"  # also for who is inside already
    outside = stranger.get(f"//elsewhere.example/?token={TOKEN}")
    assert outside.headers.get("location", "/").startswith("/") and "//" not in outside.headers.get("location", "/")


def test_cookies_of_two_services_on_one_host_do_not_meet() -> None:
    one, other = Access("a" * 16), Access("b" * 16)
    header = {"cookie": one.set_cookie(secure=False).partition(";")[0]}
    assert one.cookie_name != other.cookie_name
    assert one.has_cookie(header) and not other.has_cookie(header)


@pytest.mark.parametrize("other", ['state={"a":1}', "no value", "a b=1"])
def test_a_cookie_of_another_service_on_this_host_locks_nobody_out(other: str) -> None:
    """Browsers send all cookies of a host to all of its ports; Python's own parser stops at these."""
    access = Access("a" * 16)
    own = access.set_cookie(secure=False).partition(";")[0]
    assert access.has_cookie({"cookie": f"{other}; {own}"}) and not access.has_cookie({"cookie": other})


def test_a_guessable_token_is_refused() -> None:
    with pytest.raises(InputError, match="15 characters"):
        Access("a" * 15)
    assert len(Access().token) > 40 and Access().token != Access().token


def test_browsers_are_told_to_run_nothing_but_our_script(client: httpx.Client, stranger: httpx.Client) -> None:
    for answer in (client.get("/api/v1/current"), stranger.get("/api/v1/current"), client.get("/none")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff" and len(answer.headers["x-request-id"]) == 12


def test_the_log_is_json_without_token_question_or_address(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "videobert.serve"), serving(str(tmp_path)) as client:
        client.get("/api/v1/search?text=a+secret+question")
        client.get(f"/api/v1/search?text=a+secret+question&token={TOKEN}")
    lines = [json.loads(r.message) for r in caplog.records if r.name == "videobert.serve"]
    assert [(line["route"], line["status"]) for line in lines] == [("/api/v1/search", 400), ("other", 303)]
    assert not any(word in caplog.text for word in (TOKEN, "secret question", "secret+question"))


def test_a_client_that_asks_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    with serving(str(tmp_path), ServeOptions(rate=0.001, burst=3)) as client:
        codes = [client.get("/api/v1/status").status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429] and client.get("/healthz").status_code == 200


def test_what_brings_no_file_is_small(client: httpx.Client) -> None:
    """Its body is held in memory, which 2 GB of numbers would fill."""
    answer = client.post("/api/v1/search/vector", content=b"[" + b"1," * (3 << 20), headers={"expect": ""})
    assert answer.status_code == 413 and "too much" in answer.json()["error"]
    assert client.post("/api/v1/search/vector", json=[1.0] * 100_000).status_code == 400


def test_a_value_may_end_with_an_equals_sign_and_an_empty_one_is_none(client: httpx.Client) -> None:
    assert client.get("/api/v1/search?text=egg=&top=1&label=&batch=").json()["hits"]
    assert client.get("/api/v1/search?text=&top=1").status_code == 400


def test_metrics_do_not_grow_with_methods_that_somebody_makes_up() -> None:
    """uvicorn without httptools takes any word."""
    metrics = Metrics()
    gate = Gate(_none, access=Access(TOKEN), admin=None, options=ServeOptions(), metrics=metrics)
    for method in ("GET", "WORD-1", "WORD-2"):
        scope: dict[str, Any] = {"type": "http", "method": method, "path": "/", "query_string": b"", "headers": []}
        anyio.run(gate.__call__, scope, _none, _none)
    text = metrics.text().decode()
    assert 'method="other",route="other",status="401"} 2.0' in text and "WORD" not in text and 'method="GET"' in text


async def _none(*_: object) -> Any:
    """An application, a client that sends nothing, or one that hears nothing."""


def test_metrics_count_by_route_and_not_by_address(client: httpx.Client) -> None:
    client.get("/api/v1/rows/none:1")
    text = client.get("/metrics").text
    assert 'videobert_requests_total{method="GET",route="/api/v1/rows/{row_id}",status="404"}' in text
    assert "none:1" not in text and "videobert_request_seconds_bucket" in text


def test_only_a_few_videos_arrive_at_the_same_time(tmp_path: Path) -> None:
    """Each may fill the disk while it is read, before the queue is asked."""
    head = b'--b\r\ncontent-disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'
    kind = {"content-type": "multipart/form-data; boundary=b"}
    begun, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield head
        begun.set()
        go_on.wait(30)
        yield b"x\r\n--b--\r\n"

    with serving(str(tmp_path), ServeOptions(most_waiting=1)) as client, ThreadPoolExecutor(1) as other:
        first = other.submit(client.post, "/api/v1/videos", content=slowly(), headers=kind, timeout=60)
        assert begun.wait(30)
        whole = b"".join([head, b"x\r\n--b--\r\n"])
        answers: list[httpx.Response] = []
        while not answers or answers[-1].status_code != 503:  # the first may not have arrived yet
            answers.append(client.post("/api/v1/videos", content=whole, headers=kind))
            assert len(answers) < 50
        assert answers[-1].headers["retry-after"]
        go_on.set()
        assert first.result().status_code != 503
        assert client.post("/api/v1/videos", content=whole, headers=kind).status_code != 503
