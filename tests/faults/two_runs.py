"""Two processes at once over one batch: the same inputs end as one run, of other inputs the second is refused.

python -m tests.faults.two_runs --storage file --rounds 3
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from tests.faults.reference import check_manifests, objects_of
from tests.hostile.corpus.clip import Clip, encode_clip
from tests.hostile.endings import BATCH, hostile_recipe
from videobert.cli.main import report_errors
from videobert.flow import run_stage
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.manifest import load_manifest
from videobert.runtime.storage import Store

_VIDEOS = 6


class SlowStore(Store):
    """Waits before every write, so that the writes of two processes mix."""

    def _put(self, path: str, data: bytes, **condition: str) -> None:
        _wait()
        super()._put(path, data, **condition)

    def upload(self, source: Path, path: str, **condition: str) -> None:
        _wait()
        super().upload(source, path, **condition)


def _wait() -> None:
    time.sleep(random.SystemRandom().uniform(0, 0.1))


def run_once(videos: Path, store: Store) -> None:
    """The stages over what lies in the folder now."""
    recipe = hostile_recipe(videos, files_per_part=1)
    for stage in ("ingest", "shard"):
        run_stage(recipe, store, stage, batches=(BATCH,), selection=Selection(), executor=LocalExecutor())


def same_inputs(root: str, folder: Path) -> str:
    """Two runs at once, compared with one alone; what is wrong, or nothing."""
    videos = folder / "videos"
    _write_videos(videos, _VIDEOS)
    ended = _finish([_start(videos, root), _start(videos, root)])
    if wrong := _unclear(ended):
        return wrong
    run_once(videos, Store(root))
    alone = Store(str(folder / "alone"))
    run_once(videos, alone)
    return "" if objects_of(Store(root)) == objects_of(alone) else "not the objects of a run alone"


def other_inputs(root: str, folder: Path) -> str:
    """The first is held up at its work; the second finds other videos under the same names, and one more."""
    videos, store = folder / "videos", Store(root)
    _write_videos(videos, _VIDEOS)
    first = _start(videos, root)
    while first.poll() is None and not _begun(Store(root)):
        time.sleep(0.02)
    first.send_signal(signal.SIGSTOP)
    _write_videos(videos, _VIDEOS + 1, edition=1)
    second = _start(videos, root)
    ended = _finish([second])
    first.send_signal(signal.SIGCONT)
    ended += _finish([first])
    if [code for code, _ in ended] != [0, 1]:
        return f"the second run was not done, or the first not refused: {ended}"
    if wrong := _unclear(ended):
        return wrong
    check_manifests(objects_of(store))
    run_once(videos, store)
    check_manifests(objects_of(store))
    catalog = load_manifest(store, "ingest", "", BATCH)
    shards = load_manifest(store, "shard", store.folders("shards")[0], BATCH)
    if not catalog or not shards or catalog.counts["videos"] != _VIDEOS + 1 or shards.counts["videos"] != _VIDEOS + 1:
        return "a video is missing"
    again = Store(root)
    run_once(videos, again)
    return "a finished batch was written again" if again.writes else ""


def _begun(store: Store) -> bool:
    return any(path.endswith(".parquet") for path in store.list("catalog"))


def _write_videos(videos: Path, count: int, *, edition: int = 0) -> None:
    (videos / BATCH).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = videos / BATCH / f"{number}.mp4"
        path.with_suffix(".new").write_bytes(encode_clip(Clip(key=number + 10 * edition)))
        path.with_suffix(".new").rename(path)


def _start(videos: Path, root: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.two_runs", "--only", str(videos), "--root", root]
    return subprocess.Popen(command, env=inherited_env(), stderr=subprocess.PIPE, text=True)


def _finish(runs: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    return [(run.returncode, errors) for run in runs for _, errors in [run.communicate(timeout=120)]]


def _unclear(ended: list[tuple[int, str]]) -> str:
    """One at least ends well; another says in one sentence that it was refused."""
    if all(code for code, _ in ended):
        return f"both failed: {ended}"
    refused = [errors for code, errors in ended if code]
    return next((e for e in refused if "Traceback" in e or "again" not in e.splitlines()[-1]), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", choices=("file", "s3"), default="file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", type=Path, help="be one of the two, over these videos")
    parser.add_argument("--root", default="", help="where, with --only")
    arguments = parser.parse_args()
    if arguments.only:
        with report_errors():
            run_once(arguments.only, SlowStore(arguments.root))
        return
    wrong = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        if arguments.storage == "s3":
            server = S3Server(folder=folder / "s3", env=inherited_env(), log=folder / "s3.log")
            stack.callback(server.stop)
            server.wait("faults")
            os.environ.update(server.client_env)
        for number in range(arguments.rounds):
            for name, trial in (("same inputs", same_inputs), ("other inputs", other_inputs)):
                own = folder / f"{number}-{name.split()[0]}"
                root = f"s3://faults/{own.name}" if arguments.storage == "s3" else str(own / "root")
                problem = trial(root, own)
                wrong += bool(problem)
                print(f"{arguments.storage}, round {number + 1}, {name}: {problem or 'well'}", flush=True)
                shutil.rmtree(own, ignore_errors=True)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
