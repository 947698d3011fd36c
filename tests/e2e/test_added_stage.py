"""A stage that is one folder and one line of registration is known to every command, and to the DAGs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import BATCHES, Run, objects
from tests.toy_stage.run import REFUSED, VICTIM
from videobert.runtime.parquet import read_table

ROOT = Path(__file__).resolve().parents[2]
BATCH = BATCHES[0]
_MAIN = "import tests.toy_stage.register\nfrom videobert.cli import main\nmain()"
_DAGS = """
import sys, json
import tests.toy_stage.register
from airflow.dag_processing.dagbag import DagBag
sys.path.insert(0, {folder!r})
bag = DagBag({folder!r})
dag = bag.dags["videobert_ingest"]
print(json.dumps([bag.import_errors, sorted([t.task_id, d] for t in dag.tasks for d in t.downstream_task_ids)]))
"""


@pytest.fixture
def toy(copied: Run, corpus: Path, tmp_path: Path) -> Toy:
    return Toy(copied, corpus, tmp_path)


class Toy:
    """The command line in a process that has registered the ninth stage."""

    def __init__(self, run: Run, corpus: Path, folder: Path) -> None:
        self.run, self.folder = run, folder
        recipe = folder / "recipe.toml"
        r = run.recipe
        recipe.write_text(
            f"""base = "demo"
[ingest]
source = {json.dumps(r.ingest.source)}
files_per_part = {r.ingest.files_per_part}
[shard]
shard_bytes = {r.shard.shard_bytes}
[codebook]
branching = {r.codebook.branching}
depth = {r.codebook.depth}
heldout_fraction = {r.codebook.heldout_fraction}
[pretrain]
steps = 6
warmup_steps = 0
checkpoint_every_steps = 3
batch_size = 8
threads = 1
[evaluate]
labels = {json.dumps(r.evaluate.labels)}
gates = {{ zero_shot_sigma = 0.0, recall_at_10_over_chance = 0.0 }}
[brightness]
gain = 2.0
"""
        )
        self.recipe = ["--recipe", str(recipe)]

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _MAIN, *arguments, "--root", str(self.run.root)],
            cwd=ROOT, env=os.environ | environment, capture_output=True, text=True,
        )  # fmt: skip

    def told(self, *arguments: str, **environment: str) -> str:
        done = self.command(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stage(self, *arguments: str, **environment: str) -> str:
        return self.told("stage", "brightness", *self.recipe, *arguments, **environment)

    def outputs(self) -> dict[str, bytes]:
        return {p: data for p, data in objects(self.run.root).items() if p.startswith("brightness/")}


def _of_toy(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("brightness")]


def test_run_plans_status_shares_and_flags(toy: Toy) -> None:
    plan = toy.told("run", "--batch", ",".join(BATCHES), "--dry-run", *toy.recipe)
    assert len(_of_toy(plan)) == 2 and all(line.endswith("would run") for line in _of_toy(plan))
    ran = toy.told("run", "--batch", ",".join(BATCHES), *toy.recipe)
    lines = _of_toy(ran)
    assert len(lines) == 2 and not any("already committed" in line for line in lines)
    done = [line for line in ran.splitlines() if re.match(r"[a-z]+ +\S+ +[a-z]+-[0-9a-f]{8} ", line)]
    assert sum("already committed" in line for line in done) == len(done) - 2 > 10, "all others, of every stage"
    again = toy.told("run", "--batch", ",".join(BATCHES), "--dry-run", *toy.recipe)
    assert "would run" not in again and len(_of_toy(again)) == 2
    assert len(_of_toy(toy.told("status"))) == 2
    other = toy.stage("--batch", BATCH, "--brightness.gain", "3", "--share", "1/2")
    assert "committed when the other shares are" in other
    assert "other shares" not in toy.stage("--batch", BATCH, "--brightness.gain", "3", "--share", "2/2")
    assert len({path.split("/")[1] for path in toy.outputs()}) == 2, "another gain, another spec"


def test_a_killed_run_resumes_with_the_same_bytes(toy: Toy, copied: Run) -> None:
    killed = toy.command("stage", "brightness", *toy.recipe, "--batch", BATCH, **{VICTIM: "1"})
    assert killed.returncode == -signal.SIGKILL
    begun = toy.outputs()
    assert begun and not any(path.endswith("_manifest.json") for path in begun)
    toy.stage("--batch", BATCH)
    resumed = toy.outputs()
    for path in resumed:
        (copied.root / path).unlink()
    toy.stage("--batch", BATCH)
    assert toy.outputs() == resumed


def test_forget_and_replay(toy: Toy, copied: Run) -> None:
    refused = toy.folder / "refused"
    refused.touch()
    toy.stage("--batch", BATCH, **{REFUSED: str(refused)})
    assert "brightness too-dark" in toy.told("dead-letters")
    refused.unlink()
    assert "brightness" in toy.told("replay", "--where", "too-dark", *toy.recipe)
    assert "too-dark" not in toy.told("dead-letters")
    path = next(p for p in toy.outputs() if p.endswith(".parquet"))
    video = read_table(copied.store, path)["video_id"].to_pylist()[0]
    told = toy.told("forget", video)
    assert "committed      brightness/" in told
    left = [p for p in toy.outputs() if p.endswith(".parquet")]
    assert all(video not in read_table(copied.store, p)["video_id"].to_pylist() for p in left)
    assert "already committed" in toy.stage("--batch", BATCH), "afterwards the stage finds its work done"


def test_the_dag_of_its_part_runs_it(tmp_path: Path) -> None:
    settings = {
        "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "VIDEOBERT_ROOT": str(tmp_path),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    code = _DAGS.format(folder=str(ROOT / "dags"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    errors, edges = json.loads(done.stdout.splitlines()[-1])
    assert errors == {} and ["features", "brightness"] in edges
