"""A full disk: one clear error, nothing half written that counts, and the same command resumes once there is room."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import objects
from tests.faults.reference import BATCH, check_manifests, write_corpus

_SMALL_DISK = """
mount -t tmpfs -o "size=$3" none "$1" && cp -r "$2/." "$1" || exit 99
shift 3
"$@"
code=$?
cp -r "$0/." "$KEPT"
exit $code
"""


def run_shard(corpus: Path, root: Path, *prefix: str, kept: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "videobert", "stage", "shard", "--root", str(root), "--batch", BATCH,
        "--ingest.source", f"{corpus}/videos/{{batch}}", "--shard.shard-bytes", "150000",
    ]  # fmt: skip
    env = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "KEPT": str(kept)}
    return subprocess.run([*prefix, *command], env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_a_full_disk_is_one_error_and_no_loss(tmp_path: Path) -> None:
    corpus, small, kept, straight = (tmp_path / name for name in ("corpus", "small", "kept", "straight"))
    for folder in (small, kept):
        folder.mkdir()
    write_corpus(corpus)
    ingest = [
        sys.executable, "-m", "videobert", "stage", "ingest", "--root", str(straight), "--batch", BATCH,
        "--ingest.source", f"{corpus}/videos/{{batch}}",
    ]  # fmt: skip
    subprocess.run(ingest, check=True, capture_output=True, timeout=120)
    begun = tmp_path / "begun"
    shutil.copytree(straight, begun)
    assert run_shard(corpus, straight).returncode == 0
    room = sum(len(data) for data in objects(straight).values()) * 2 // 3
    prefix = ("unshare", "-rm", "sh", "-c", _SMALL_DISK, str(small), str(small), str(begun), str(room))
    done = run_shard(corpus, small, *prefix, kept=kept)
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip("this machine mounts no small disk for a test")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: storage failed") and "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert objects(kept).keys() > objects(begun).keys()  # some of the work was done
    check_manifests(objects(kept))
    assert run_shard(corpus, kept).returncode == 0
    assert objects(kept) == objects(straight)
