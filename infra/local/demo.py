"""`make demo`: the main job on this machine, through a real Airflow scheduler and a real Ray, ending in a search.

videos -> backfill of three batches (ingest, shard, features) -> training (codebook, tokens, pretrain, evaluate,
embed, promote) -> a task learnt from labels (finetune, predict) -> a table, three searches, two queries
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.local.airflow import Airflow
from infra.local.ray_head import RayHead, inherited_env
from infra.local.s3 import S3Server
from infra.local.summary import print_summary
from infra.local.watch import Watch
from videobert.errors import InputError, PipelineError
from videobert.runtime.storage import Store

__all__ = ["main"]

_REPOSITORY = Path(__file__).resolve().parents[2]
_DAGS = ["videobert_ingest", "videobert_embed", "videobert_train", "videobert_finetune"]
_BATCHES = ("2026-01-01", "2026-01-02", "2026-01-03")
_QUERIES = (
    "select batch, level, count(*) as n from embeddings group by all order by all",
    "select label, count(*) as n, round(avg(score), 2) as score from predictions group by all order by n desc limit 5",
)
_SEARCHES = ("stir the egg", "chop the onion", "now let me show you how to drop the beet")


def main() -> None:
    """Run the demo and exit: 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell's background job inherits it as ignored
        signal.signal(number, _terminate)
    try:
        with contextlib.ExitStack() as stack:
            _demo(options, stack)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except KeyboardInterrupt:
        print("interrupted; everything that was started is stopped, what is committed stays", file=sys.stderr)
        sys.exit(130)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make demo", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--root", default="demo", help="where everything is written: a folder or s3://bucket/prefix")
    parser.add_argument("--s3-server", action="store_true", help="start a packaged S3 server and write to it")
    parser.add_argument("--videos-per-batch", type=int, default=30, help="kitchen videos per batch (default 30)")
    parser.add_argument("--state", default="demo-state", help="folder for logs and Airflow's database")
    parser.add_argument("--keep", action="store_true", help="leave the UI and Ray up until Ctrl-C")
    return parser.parse_args()


def _demo(options: argparse.Namespace, stack: contextlib.ExitStack) -> None:
    started = time.monotonic()
    state = Path(options.state).resolve()
    root = options.root
    if options.s3_server:
        server = S3Server(folder=state / "s3", env=inherited_env(), log=state / "logs/s3.log")
        stack.callback(server.stop)
        server.wait("videobert")
        os.environ.update(server.client_env)
        root = "s3://videobert/demo"
    store = Store(root)
    store.check_root()
    _say(f"root {store.root}")
    ray = RayHead(env=inherited_env(), log=state / "logs/ray.log")
    stack.callback(ray.stop)
    settings = {
        "VIDEOBERT_ROOT": store.root, "VIDEOBERT_RECIPE": "demo", "VIDEOBERT_LAST_BATCH": _BATCHES[-1],
        "VIDEOBERT_TRAIN_CRON": "none", "VIDEOBERT_POLL_SECONDS": "1", "VIDEOBERT_RETRY_SECONDS": "15",
        "VIDEOBERT_OPTIONS": "--executor.workers 1 --executor.cpus-per-worker 0.5",
    }  # fmt: skip
    airflow = Airflow(
        home=state / "airflow", dags=_REPOSITORY / "dags", env=inherited_env() | ray.client_env | settings
    )
    stack.callback(airflow.stop)
    _say("starting Ray and Airflow; meanwhile the videos are made")
    airflow.start()
    _cli("demo-videos", "--out", store.url("incoming"), "--videos-per-batch", str(options.videos_per_batch))
    ray.wait()
    airflow.wait_for_dags(_DAGS)
    _say(f"Airflow {airflow.url} (user {airflow.user}, password in {state / 'airflow/passwords.json'}), Ray {ray.url}")
    for dag in _DAGS:
        airflow.call("PATCH", f"/dags/{dag}", {"is_paused": False})
    watch = Watch(airflow, ray, say=_say)
    airflow.run(
        "backfill", "create", "--dag-id", "videobert_ingest", "--from-date", _BATCHES[0], "--to-date", _BATCHES[-1],
        "--max-active-runs", "2", "--reprocess-behavior", "completed",
    )  # fmt: skip
    _say(f"backfilling {len(_BATCHES)} batches: ingest, shard, features")
    watch.until_done("videobert_ingest", runs=len(_BATCHES))
    _say("training: codebook, tokens, pretrain, evaluate, embed, promote")
    _cli("trigger", "--dag", "train", "--batch", ",".join(_BATCHES), env=airflow.client_env)
    watch.until_done("videobert_train", runs=1)
    _say("the promotion starts a fine-tuning on the kitchen's labels: finetune, predict")
    watch.until_done("videobert_finetune", runs=1)
    print_summary(store, watch.task_seconds(), watch.results())
    for text in _SEARCHES:
        print(f"\n$ videobert search {text!r} --root {root} --top 5", flush=True)
        _cli("search", text, "--root", root, "--top", "5")
    for query in _QUERIES:
        print(f"\n$ videobert sql {query!r} --root {root}", flush=True)
        _cli("sql", query, "--root", root)
    _say(f"done in {time.monotonic() - started:.0f} s, at most {watch.peak_bytes / 1e9:.2f} GB of memory at once")
    if not options.s3_server:
        print(f"\n$ videobert serve --root {root}   # search and watch in a browser", flush=True)
    if options.keep:
        stack.callback(_started("serve", "--root", root).terminate)  # prints its URL
        _say(f"Airflow stays at {airflow.url}, Ray at {ray.url}; Ctrl-C ends both")
        for _ in _forever():
            airflow.check()


def _forever() -> Iterator[None]:
    while True:
        yield
        time.sleep(2)


def _cli(*arguments: str, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run([sys.executable, "-m", "videobert", *arguments], env=inherited_env() | dict(env or {}))
    if done.returncode:
        raise PipelineError(f"videobert {' '.join(arguments)} ended with exit code {done.returncode}; see above")


def _started(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "videobert", *arguments], env=inherited_env())


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def _terminate(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
