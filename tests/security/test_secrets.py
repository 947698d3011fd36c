"""Credentials are used and never told: not in objects, results, logs or messages, neither of runs that end nor fail."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from tests.faults.reference import BATCH, objects_of, write_corpus
from videobert.runtime.storage import Store

pytestmark = pytest.mark.slow

TINY = (
    "--recipe", "demo",
    "--ingest.source", "s3://bucket/videos/{batch}", "--codebook.branching", "3", "--codebook.depth", "2",
    "--codebook.heldout-fraction", "0.4", "--pretrain.architecture.layers", "1", "--pretrain.architecture.hidden", "32",
    "--pretrain.architecture.heads", "2", "--pretrain.architecture.intermediate", "32", "--pretrain.steps", "2",
    "--pretrain.warmup-steps", "0", "--pretrain.batch-size", "4", "--pretrain.retrieval-dim", "16",
    "--evaluate.labels", "", "--evaluate.gates.zero-shot-sigma", "0", "--evaluate.gates.recall-at-10-over-chance", "0",
)  # fmt: skip
MARKED = {
    name: f"marked-{secrets.token_hex(12)}"
    for name in ("AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN", "VIDEOBERT_AIRFLOW_TOKEN", "VIDEOBERT_AIRFLOW_PASSWORD")
}
"""Worth nothing to anybody; the S3 server makes its own keys."""


def videobert(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The command in an environment full of secrets."""
    return subprocess.run(
        [sys.executable, "-m", "videobert", *arguments], env=inherited_env() | MARKED | env, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("s3")
    server = S3Server(folder=folder / "data", env=inherited_env(), log=folder / "s3.log")
    try:
        server.wait("bucket")
        yield server
    finally:
        server.stop()


@pytest.fixture
def keys(s3: S3Server) -> Iterator[dict[str, str]]:
    """The server's keys, here too; a session token that it knows nothing of would be refused."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.client_env.items():
            patch.setenv(name, value)
        yield s3.client_env | {"AWS_SESSION_TOKEN": ""}


def told(texts: Mapping[str, bytes | str], values: Mapping[str, str]) -> list[tuple[str, str]]:
    """(place, name) of every secret that can be read somewhere."""
    found = []
    for place, text in texts.items():
        data = text.encode() if isinstance(text, str) else text
        found += [(place, name) for name, value in values.items() if value and value.encode() in data]
    return found


def secrets_of(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in (MARKED | env).items() if name.endswith(("_KEY", "_KEY_ID", "TOKEN", "RD"))}


@pytest.mark.slow
def test_a_whole_run_writes_no_secret(s3: S3Server, keys: dict[str, str], tmp_path: Path) -> None:
    write_corpus(tmp_path)
    for path in (tmp_path / "videos" / BATCH).iterdir():
        Store("s3://bucket").upload(path, f"videos/{BATCH}/{path.name}")
    root = "s3://bucket/root"
    done = videobert("run", "--root", root, "--batch", BATCH, *TINY, env=keys)
    assert done.returncode == 0, done.stderr
    job = {"RAY_JOB_RESULT_URI": f"{root}/results/1.json", "RAY_JOB_SUBMISSION_ID": "1"}
    again = videobert("stage", "ingest", "--root", root, "--batch", BATCH, *TINY, env=keys | job)
    assert again.returncode == 0, again.stderr
    found: dict[str, bytes | str] = {**objects_of(Store(root))}
    assert {path.split("/")[0] for path in found} >= {"models", "embeddings", "reports", "dead_letters", "results"}
    found |= {"output": done.stdout + again.stdout, "log": done.stderr + again.stderr}
    assert "pretrain: step 2" in done.stderr
    assert told(found, secrets_of(keys)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"AWS_SECRET_ACCESS_KEY": "marked-wrong-secret"},
        {"AWS_ACCESS_KEY_ID": "marked-wrong-key"},
        {"AWS_SESSION_TOKEN": "marked-wrong-token"},
    ],
)
def test_a_refused_run_prints_no_secret(keys: dict[str, str], wrong: dict[str, str]) -> None:
    env = keys | wrong
    done = videobert("stage", "ingest", "--root", "s3://bucket/root", "--batch", BATCH, *TINY, env=env)
    assert done.returncode == 2 and done.stderr.startswith("error: root 's3://bucket/root' cannot be written")
    assert told({"output": done.stdout, "message": done.stderr}, secrets_of(env)) == []


class _Echo(BaseHTTPRequestHandler):
    """Refuses every request and repeats its body, as servers do whose validation of a form fails."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(422)
        self.end_headers()
        self.wfile.write(b'{"detail": [{"msg": "no", "input": ' + body + b"}]}")

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is printed."""


def test_a_refused_login_repeats_no_password() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {
        "VIDEOBERT_AIRFLOW_URL": f"http://127.0.0.1:{server.server_port}", "VIDEOBERT_AIRFLOW_USER": "someone",
        "VIDEOBERT_AIRFLOW_TOKEN": "",
    }  # fmt: skip
    done = videobert("trigger", "--batch", BATCH, env=env)
    server.shutdown()
    server.server_close()
    assert done.returncode == 2 and "422" in done.stderr
    assert told({"output": done.stdout, "message": done.stderr}, secrets_of(env)) == []
