"""Whatever answers in Airflow's place, the client says it in one sentence."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from videobert.cli.airflow_api import AirflowApi, AirflowError
from videobert.errors import InputError


class Answer(BaseHTTPRequestHandler):
    """Answers every request with the status and the body that the server was given."""

    def do_GET(self) -> None:
        assert isinstance(self.server, Place)
        self.send_response(self.server.status, "as told")
        self.send_header("Content-Length", str(self.server.length or len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


class Place(HTTPServer):
    """A server where Airflow should be."""

    status, body, length = 200, b"{}", 0


@pytest.fixture
def place() -> Iterator[Place]:
    server = Place(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def api(place: Place) -> AirflowApi:
    return AirflowApi(f"http://127.0.0.1:{place.server_port}", token="t-secret")


@pytest.mark.parametrize("status", [500, 502, 503, 504, *range(520, 527), 530, 599, 418])
def test_a_server_or_proxy_that_fails_is_an_airflow_error(api: AirflowApi, place: Place, status: int) -> None:
    place.status, place.body = status, b"<html>no origin</html>"
    with pytest.raises(AirflowError, match=f"answered {status}: <html>no origin.*ask again when it is up") as caught:
        api.call("GET", "/dags/a")
    assert "t-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "cure"),
    [
        (400, "correct"),
        (401, "VIDEOBERT_AIRFLOW_TOKEN"),
        (403, "rights"),
        (404, "DAG folder"),
        (409, "wait"),
        (422, "correct"),
    ],
)
def test_a_refusal_says_what_to_do(api: AirflowApi, place: Place, status: int, cure: str) -> None:
    place.status = status
    with pytest.raises(InputError, match=f"answered {status}.*{cure}"):
        api.call("POST", "/dags/a/dagRuns", {"conf": {}})


def test_an_answer_that_breaks_off(api: AirflowApi, place: Place) -> None:
    place.body, place.length = b"{", 100
    with pytest.raises(AirflowError, match="broke off"):
        api.call("GET", "/dags/a")
    place.status = 523
    with pytest.raises(AirflowError, match="answered 523"):
        api.call("GET", "/dags/a")


def test_an_answer_that_is_no_json(api: AirflowApi, place: Place) -> None:
    place.body = b"<html>"
    with pytest.raises(InputError, match="no JSON"):
        api.call("GET", "/dags/a")


@pytest.mark.parametrize("body", [b"null", b"{}", b"[]", b'"x"'])
def test_a_login_without_a_token(place: Place, body: bytes) -> None:
    place.body = body
    api = AirflowApi(f"http://127.0.0.1:{place.server_port}", user="u", password="p-secret")
    with pytest.raises(AirflowError, match="no access_token") as caught:
        api.call("GET", "/dags/a")
    assert "p-secret" not in str(caught.value)


def test_a_refused_login_repeats_no_password(place: Place) -> None:
    place.status, place.body = 422, json.dumps({"input": {"password": "p-secret"}}).encode()
    api = AirflowApi(f"http://127.0.0.1:{place.server_port}", user="u", password="p-secret")
    with pytest.raises(InputError, match="answered 422") as caught:
        api.call("GET", "/dags/a")
    assert "p-secret" not in str(caught.value)
