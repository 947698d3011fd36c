"""The whole pipeline on S3 while a share of the requests fails: it ends right, or stops with one error and resumes.

python -m tests.faults.storage --rate 0.05 --seed 1
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from infra.local.processes import free_port
from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from tests.faults.proxy import FaultyProxy
from tests.faults.reference import STEPS, objects_of, run_step, tiny_recipe, write_corpus
from videobert.cli.main import report_errors
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.storage import Store

_MOST_RUNS = 5
_ROOT = "s3://faults/root"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run under faults came to."""

    runs: int
    """1, or one more for every time that it stopped and was started again."""
    errors: tuple[str, ...]
    """The last line of standard error of every run that stopped."""
    requests: int
    injected: Mapping[str, int]
    seconds: float


def run_disturbed(corpus: Path, server: S3Server, *, rate: float, seed: int, only: tuple[str, ...] = ()) -> Outcome:
    """Run all steps through the proxy, again where they stop. Raises AssertionError when they never end."""
    proxy = FaultyProxy(
        server.client_env["AWS_ENDPOINT_URL"], port=free_port(start=26_000), rate=rate, seed=seed, only=only
    )
    proxy.start()
    errors: list[str] = []
    started = time.monotonic()
    try:
        env = inherited_env() | server.client_env | {"AWS_ENDPOINT_URL": proxy.url}
        while True:
            done = _child(corpus, _ROOT, env)
            if done.returncode == 0:
                break
            errors.append(done.stderr.strip().splitlines()[-1])
            assert done.returncode in (1, 2) and "Traceback" not in done.stderr, done.stderr[-4000:]
            assert len(errors) < _MOST_RUNS, errors
    finally:
        proxy.stop()
    return Outcome(
        runs=len(errors) + 1, errors=tuple(errors), requests=proxy.requests, injected=dict(proxy.injected),
        seconds=time.monotonic() - started,
    )  # fmt: skip


def run_undisturbed(corpus: Path, root: Path) -> None:
    """The same on files."""
    done = _child(corpus, str(root), inherited_env())
    assert done.returncode == 0, done.stderr


def _child(corpus: Path, root: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    repository = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.storage", "--all-steps", str(corpus), "--root", root],
        cwd=repository, env=dict(env), capture_output=True, text=True, timeout=900,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=0.05, help="share of the requests that fail")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="kinds of faults, separated by commas; all when empty")
    parser.add_argument("--all-steps", type=Path, help="run the steps over this corpus, and nothing else")
    parser.add_argument("--root", default="", help="where, with --all-steps")
    arguments = parser.parse_args()
    if arguments.all_steps:
        with report_errors():
            store, recipe = Store(arguments.root), tiny_recipe(arguments.all_steps)
            for step in STEPS:
                run_step(recipe, store, step, LocalExecutor())
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        write_corpus(folder / "corpus")
        run_undisturbed(folder / "corpus", folder / "root")
        server = S3Server(folder=folder / "s3", env=inherited_env(), log=folder / "s3.log")
        stack.callback(server.stop)
        server.wait("faults")
        only = tuple(kind for kind in arguments.only.split(",") if kind)
        outcome = run_disturbed(folder / "corpus", server, rate=arguments.rate, seed=arguments.seed, only=only)
        os.environ.update(server.client_env)
        equal = objects_of(Store(_ROOT)) == objects_of(Store(str(folder / "root")))
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.injected.items()))
    print(f"{outcome.requests:,} requests, faults: {faults}; {outcome.seconds:.0f} s")
    print(f"ended in run {outcome.runs}; equal to an undisturbed run on files: {'yes' if equal else 'NO'}")
    for error in outcome.errors:
        print(f"stopped with: {error}")
    sys.exit(not equal)


if __name__ == "__main__":
    main()
