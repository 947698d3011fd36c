"""The service behind Ray Serve: two replicas, one of which is killed while clients ask."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

import videobert
from tests.infra.material import read_yaml
from tests.serve.conftest import TOKEN
from tests.small_root import SmallRoot
from videobert.errors import InputError

FILE = Path(__file__).resolve().parents[2] / "infra" / "serve" / "rayservice.yaml"
CLIENTS = 4


@pytest.fixture
def served(small_root: SmallRoot, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    import ray
    from ray import serve

    from videobert.serve.replicas import build

    def start(tries: int) -> None:
        """Ray gives a node 30 s to come up, which is no time on a machine where tests wait for a core."""
        try:
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            ray.shutdown()
            if tries == 1 or "timed out during startup" not in str(error):
                raise
            start(tries - 1)

    monkeypatch.setenv("VIDEOBERT_TOKEN", TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start(tries=3)
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(build({"root": small_root.root, "replicas": 2, "cpus": 0.1}), name="videobert", route_prefix="/")
        headers = {"authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            yield client
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


@pytest.mark.ray
@pytest.mark.filterwarnings("default")  # of Ray itself
def test_a_killed_replica_loses_no_request_but_those_that_it_was_answering(
    served: httpx.Client, small_root: SmallRoot
) -> None:
    expected = [hit.row_id for hit in videobert.open(small_root.root).search("stir the egg", top=3)]
    assert httpx.get(f"{served.base_url}/api/v1/current").status_code == 401
    ended, lost, answered = threading.Event(), list[tuple[float, int]](), [0] * CLIENTS

    def ask(number: int) -> None:
        while not ended.is_set():
            began = time.monotonic()
            answer = served.get("/api/v1/search", params={"text": "stir the egg", "top": 3})
            if answer.status_code == 200:
                assert [found["hit"]["row_id"] for found in answer.json()["hits"]] == expected
                answered[number] += 1
            else:
                lost.append((began, answer.status_code))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    replicas = [p for p in psutil.Process().children(recursive=True) if "ServeReplica" in " ".join(p.cmdline())]
    assert len(replicas) == 2
    os.kill(replicas[0].pid, signal.SIGKILL)
    killed, before = time.monotonic(), sum(answered)
    time.sleep(5)
    ended.set()
    for thread in threads:
        thread.join()
    assert before > 0 and sum(answered) > before
    assert len(lost) <= CLIENTS and all(began <= killed for began, _ in lost), lost


def test_the_file_names_what_there_is(tmp_path: Path) -> None:
    from videobert.serve.replicas import build

    (service,) = read_yaml(FILE)
    (tmp_path / "config.yaml").write_text(service["spec"]["serveConfigV2"])
    [(application,)] = [config["applications"] for config in read_yaml(tmp_path / "config.yaml")]
    assert application["import_path"] == f"{build.__module__}:build"
    build(application["args"])
    for wrong in ({"root": "a", "replica": 2}, {"replicas": 2}):
        with pytest.raises(InputError, match="root"):
            build(wrong)
