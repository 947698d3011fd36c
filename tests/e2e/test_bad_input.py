"""Wrong input: one clear sentence with value, cause and cure; exit code 2; nothing half written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.processes import free_port
from tests.e2e.conftest import Run, objects


def videobert(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "videobert", *arguments],
        env=dict(os.environ) | (env or {}), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2, and one sentence on standard error that holds the words."""
    assert done.returncode == 2, done.stderr
    message = done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert message.startswith("error: ")
    for word in words:
        assert word in message


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos" / "2026-01-01"
    folder.mkdir(parents=True)
    (folder / "a.mp4").write_bytes(b"x")
    return tmp_path / "videos"


def empty(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """A day without videos: one sentence, and the exit code by which Airflow skips the run."""
    assert done.returncode == 3 and done.stdout == ""
    assert done.stderr.startswith("error: ") and all(word in done.stderr for word in words), done.stderr


def test_an_empty_root_is_refused_and_nothing_is_written(tmp_path: Path, videos: Path) -> None:
    done = videobert("stage", "ingest", "--root", "", "--batch", "2026-01-01", "--ingest.source", f"{videos}/{{batch}}")
    refused(done, "root is empty", "VIDEOBERT_ROOT")


def test_missing_prefix(tmp_path: Path) -> None:
    done = videobert(
        "stage", "ingest", "--root", str(tmp_path / "r"), "--batch", "2026-01-01",
        "--ingest.source", f"{tmp_path}/none/{{batch}}",
    )  # fmt: skip
    empty(done, "2026-01-01", "nothing lies below", "no other folder")
    assert objects(tmp_path / "r") == {}


def test_unknown_batch_names_those_that_are_there(tmp_path: Path, videos: Path) -> None:
    done = videobert(
        "stage", "ingest", "--root", str(tmp_path / "r"), "--batch", "2026-02-28",
        "--ingest.source", f"{videos}/{{batch}}",
    )  # fmt: skip
    empty(done, "2026-02-28", "holds 2026-01-01")
    assert objects(tmp_path / "r") == {}


def test_batch_key_that_is_a_path(tmp_path: Path) -> None:
    refused(videobert("stage", "ingest", "--root", str(tmp_path / "r"), "--batch", "../etc"), "../etc", "no key")


def test_wrong_config_value(tmp_path: Path) -> None:
    done = videobert("stage", "shard", "--root", str(tmp_path / "r"), "--batch", "b", "--shard.shard-bytes", "0")
    refused(done, "shard_bytes is 0", "positive")


def test_unknown_recipe_and_command(tmp_path: Path) -> None:
    refused(
        videobert("run", "--root", str(tmp_path / "r"), "--batch", "b", "--recipe", "nope"), "nope", "demo", "paper"
    )
    refused(videobert("fly"), "fly", "the commands are run, check, stage")


def test_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = videobert("stage", "ingest", "--root", str(tmp_path / "file" / "root"), "--batch", "b")
    refused(done, "cannot be written", "permissions")


def test_s3_endpoint_that_is_not_there() -> None:
    env = {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "marked-secret",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
    }  # fmt: skip
    done = videobert("stage", "ingest", "--root", "s3://bucket/root", "--batch", "b", env=env)
    refused(done, "s3://bucket/root", "AWS_ENDPOINT_URL")
    assert "marked-secret" not in done.stderr


def test_stage_before_the_one_it_reads(tmp_path: Path) -> None:
    done = videobert("stage", "features", "--root", str(tmp_path / "r"), "--batch", "2026-01-01")
    refused(done, "2026-01-01", "not committed", "videobert stage shard")


def test_codebook_that_does_not_fit_the_features(copied: Run) -> None:
    """Other features of the same batch (two frames a clip), the codebook of the first ones."""
    common = [
        "--root", str(copied.root), "--batch", "2026-01-01", "--features.frames-per-clip", "2",
        "--ingest.source", copied.recipe.ingest.source, "--ingest.files-per-part", "3", "--shard.shard-bytes", "600000",
    ]  # fmt: skip
    made = videobert("stage", "features", *common)
    assert made.returncode == 0, made.stderr
    before = objects(copied.root)
    done = videobert("stage", "tokens", *common, "--codebook", copied.spec("codebook"))
    refused(done, copied.spec("codebook"), copied.spec("features"), "fit a codebook")
    assert objects(copied.root) == before


def test_model_directory_without_safetensors(tmp_path: Path, copied: Run) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "config.json").write_text('{"model_type": "vit"}')
    (weights / "pytorch_model.bin").write_bytes(b"not to be opened")
    before = objects(copied.root)
    done = videobert(
        "stage", "features", "--root", str(copied.root), "--batch", "2026-01-01", "--features.encoder", f"hf:{weights}",
        "--ingest.source", copied.recipe.ingest.source, "--ingest.files-per-part", "3", "--shard.shard-bytes", "600000",
    )  # fmt: skip
    refused(done, "safetensors")
    assert objects(copied.root) == before


def test_queries_of_what_is_not_there(tmp_path: Path, run: Run) -> None:
    refused(videobert("search", "stir the egg", "--root", str(tmp_path)), "no model is promoted")
    refused(videobert("search", "--root", str(run.root)), "either a text, --like ROW_ID or --file")
    refused(videobert("search", "--like", "nobody:1", "--root", str(run.root)), "nobody:1", "VIDEO_ID:SEGMENT")
    refused(videobert("lineage", "nobody", "--root", str(run.root)), "nobody")
    refused(videobert("sql", "select * from read_csv('/etc/passwd')", "--root", str(run.root)), "DuckDB refuses")
    refused(
        videobert("models", "--promote", "pretrain-00000000", "--root", str(run.root)),
        "pretrain-00000000",
        "videobert models",
    )
