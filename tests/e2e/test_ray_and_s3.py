"""The same bytes wherever it runs and wherever it is written: local = Ray = S3."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from tests.e2e.conftest import Run, objects
from videobert.runtime.storage import Store

_SCRIPT = """
import logging, sys
from pathlib import Path
from tests.e2e.conftest import run_all, small_recipe
from videobert.runtime.storage import Store
logging.getLogger("videobert").setLevel(logging.INFO)
corpus, root, kind = sys.argv[1:]
if kind.startswith("train"):
    import dataclasses
    from videobert.flow import run_stage
    from videobert.resolve import Selection
    from videobert.runtime.ray_executor import ActorOptions, RayExecutor
    recipe = small_recipe(Path(corpus))
    bert = dataclasses.replace(recipe.pretrain.architecture, dropout=0.0, attention_dropout=0.0)
    recipe = dataclasses.replace(recipe, pretrain=dataclasses.replace(recipe.pretrain, architecture=bert))
    if kind == "train-until-it-stops":
        from videobert.pretrain.config import Validation
        checks = Validation(checks=40, patience=12, fraction=0.3, least_segments=1)
        recipe = dataclasses.replace(recipe, pretrain=dataclasses.replace(
            recipe.pretrain, steps=120, learning_rate=1e-2, checkpoint_every_steps=5, keep_checkpoints=1,
            validation=checks,
        ))
    from videobert.runtime.executor import LocalExecutor
    ray_train = RayExecutor(train_workers=2, options=ActorOptions(num_cpus=0.25))
    executor = LocalExecutor() if kind == "train-1" else ray_train
    selection = Selection(codebook=Store(root).folders("codebooks")[0])
    run_stage(recipe, Store(root), "pretrain", batches=(), selection=selection, executor=executor)
    sys.exit()
if kind == "ray":
    from videobert.runtime.ray_executor import ActorOptions, RayExecutor
    executor = RayExecutor(workers=2, options=ActorOptions(num_cpus=0.5))
else:
    from videobert.runtime.executor import LocalExecutor
    executor = LocalExecutor()
if __name__ == "__main__":
    import dataclasses
    recipe = small_recipe(Path(corpus))
    # One codebook of two workers where there is Ray, of one where there is none.
    recipe = dataclasses.replace(recipe, codebook=dataclasses.replace(recipe.codebook, worker_clips=16))
    run_all(recipe, Store(root), executor)
    if kind == "ray":
        import ray, shutil, threading, time
        from videobert.flow import run_stage
        from videobert.resolve import Selection
        apart = Path(root).with_name("apart")
        for folder in ("catalog", "dead_letters", "shards"):
            shutil.copytree(Path(root) / folder, apart / folder)
        executor = RayExecutor(workers=1, servers=1, options=ActorOptions(num_cpus=0.5))
        def lose_the_encoder():
            while not executor._serving:
                time.sleep(0.1)
            ray.get(executor._serving[0].ask.remote("facts"))
            ray.kill(executor._serving[0], no_restart=False)
        threading.Thread(target=lose_the_encoder, daemon=True).start()
        for batch in Store(root).folders("catalog"):
            run_stage(
                recipe, Store(str(apart)), "features", batches=(batch.removeprefix("batch="),), selection=Selection(),
                executor=executor,
            )
"""


def run_elsewhere(corpus: Path, root: str, kind: str, env: dict[str, str], cwd: Path) -> None:
    """The whole pipeline in a process of its own: Ray and S3 clients leave threads and settings behind."""
    done = subprocess.run(
        _elsewhere(corpus, root, kind, cwd), env=env | _PATH, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-4000:]


_PATH = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def _elsewhere(corpus: Path, root: str, kind: str, cwd: Path) -> list[str]:
    script = cwd / "elsewhere.py"
    script.write_text(_SCRIPT)
    return [sys.executable, str(script), str(corpus), root, kind]


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    """A real S3 server with a bucket, on loopback."""
    server = S3Server(folder=tmp_path / "s3", env=inherited_env(), log=tmp_path / "s3.log")
    try:
        server.wait("bucket")
        yield server
    finally:
        server.stop()


@pytest.mark.ray
@pytest.mark.slow
def test_ray_writes_the_bytes_of_a_local_run(run: Run, corpus: Path, tmp_path: Path) -> None:
    env = {k: v for k, v in inherited_env().items() if k != "RAY_ADDRESS"} | {"RAY_USAGE_STATS_ENABLED": "0"}
    run_elsewhere(corpus, str(tmp_path / "root"), "ray", env, tmp_path)
    assert objects(tmp_path / "root") == objects(run.root)
    # Workers that only decode, and an encoder of their own that was lost on the way.
    features = {path: data for path, data in objects(run.root).items() if path.startswith("features/")}
    assert {
        path: data for path, data in objects(tmp_path / "apart").items() if path.startswith("features/")
    } == features


@pytest.mark.ray
@pytest.mark.slow
def test_training_of_two_workers_that_stops_by_itself_survives_a_kill(run: Run, corpus: Path, tmp_path: Path) -> None:
    """Killed between two checkpoints and started again: the same checks, the same best step, the same bytes."""
    env = {k: v for k, v in inherited_env().items() if k != "RAY_ADDRESS"} | {"RAY_USAGE_STATS_ENABLED": "0"}
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for root in (straight, killed):
        shutil.copytree(run.root, root, ignore=shutil.ignore_patterns("models", "embeddings", "reports"))
    run_elsewhere(corpus, str(straight), "train-until-it-stops", env, tmp_path)
    (manifest,) = (json.loads(path.read_bytes()) for path in straight.glob("models/*/_manifest.json"))
    training = manifest["facts"]["training"]
    assert manifest["facts"]["step"] < training["ended"] < 120 and training["plan"]["videos"]

    command = _elsewhere(corpus, str(killed), "train-until-it-stops", tmp_path)
    with (tmp_path / "killed.log").open("wb") as log:
        process = subprocess.Popen(command, env=env | _PATH, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 300
        while not list(killed.glob("models/*/step-*/model.safetensors")):
            assert process.poll() is None and time.monotonic() < until, (tmp_path / "killed.log").read_text()[-4000:]
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not list(killed.glob("models/*/_manifest.json"))
    run_elsewhere(corpus, str(killed), "train-until-it-stops", env, tmp_path)
    assert objects(killed / "models") == objects(straight / "models")


@pytest.mark.ray
@pytest.mark.slow
def test_two_workers_of_ray_train_learn_what_one_learns(run: Run, corpus: Path, tmp_path: Path) -> None:
    """Gradients are summed over workers: without dropout the same model, up to the order of additions."""
    env = {k: v for k, v in inherited_env().items() if k != "RAY_ADDRESS"} | {"RAY_USAGE_STATS_ENABLED": "0"}
    models = []
    for kind in ("train-1", "train-2"):
        root = tmp_path / kind
        shutil.copytree(run.root, root, ignore=shutil.ignore_patterns("models", "embeddings", "reports"))
        run_elsewhere(corpus, str(root), kind, env, tmp_path)
        models.append(load_file(next(root.glob("models/*/step-*/model.safetensors"))))
    alone, together = models
    assert alone.keys() == together.keys()
    # Adam turns the last bit of a tiny gradient into a step: single weights may differ, their sum does not.
    difference = sum(float((alone[name] - together[name]).abs().sum()) for name in alone)
    assert 0 < difference < 1e-5 * sum(float(weights.abs().sum()) for weights in alone.values())


@pytest.mark.slow
def test_s3_holds_the_bytes_of_a_local_run(
    run: Run, corpus: Path, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_elsewhere(corpus, "s3://bucket/root", "local", inherited_env() | s3.client_env, tmp_path)
    for name, value in s3.client_env.items():
        monkeypatch.setenv(name, value)
    store = Store("s3://bucket/root")
    assert {path: store.read(path) for path in store.list("")} == objects(run.root)
