"""Fine-tuning under Ray: two workers learn what one does, a killed one resumes, and a search ends in its best trial."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from infra.local.ray_head import inherited_env
from tests.small_root import SmallRoot
from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.search import drawn, parse_search

SCRIPT = """
import dataclasses, json, shutil, sys
from pathlib import Path
from tests.finetune.dying import DyingJob
from videobert.admin.promotion import promote
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.run import job_arguments
from videobert.finetune.search import search
from videobert.finetune.stage import FINETUNE
from videobert.flow import run_stage
from videobert.resolve import Resolver, Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.ray_executor import ActorOptions, RayExecutor
from videobert.runtime.storage import Store
import tests.small_root as small

folder = Path(sys.argv[1])
recipe, store = small._recipe(Path(sys.argv[2]) / "corpus"), Store(str(folder))
shape = dataclasses.replace(recipe.pretrain.architecture, dropout=0.0, attention_dropout=0.0)
tuned = FinetuneConfig(
    labels="{root}/labels.jsonl", epochs=2, batch_size=4, dropout=0.0, bootstrap_draws=5, freeze="nothing"
)
recipe = dataclasses.replace(
    recipe, pretrain=dataclasses.replace(recipe.pretrain, architecture=shape), finetune=tuned
)
chosen = Selection(codebook=store.folders("codebooks")[0])
(pretrained,) = run_stage(recipe, store, "pretrain", batches=(), selection=chosen, executor=LocalExecutor())
selection = Selection(model=pretrained.spec)

def finetune(config, executor):
    other = dataclasses.replace(recipe, finetune=config)
    (done,) = run_stage(other, store, "finetune", batches=(), selection=selection, executor=executor)
    return folder / "finetuned" / done.spec

def kept(name, made):
    shutil.copytree(made, folder / name)
    shutil.rmtree(made)

options = ActorOptions(num_cpus=0.25)
kept("local", finetune(tuned, LocalExecutor()))
kept("two", finetune(tuned, RayExecutor(train_workers=2, options=options)))
inputs = Resolver(recipe, store, selection).corpus_inputs(FINETUNE, ())
RayExecutor(options=options).train("tests.finetune.dying:DyingJob", job_arguments(tuned, inputs))
kept("resumed", finetune(tuned, LocalExecutor()))
executor = RayExecutor(workers=2, options=options)
best = search(tuned, inputs, executor, trials=3)
assert search(tuned, inputs, LocalExecutor(), trials=3) == best, "found done, without Ray"
kept("best", finetune(best, LocalExecutor()))
"""


@pytest.mark.ray
@pytest.mark.slow
def test_two_workers_a_killed_one_and_a_search(small_root: SmallRoot, tmp_path: Path) -> None:
    root = tmp_path / "demo"
    shutil.copytree(small_root.root, root)
    truth = (small_root.folder / "corpus/truth/truth.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in truth]
    videos = sorted({row["video_id"] for row in rows})
    split = dict(zip(videos, ("test", "validation", "train", "train", "train", "train"), strict=True))
    labels = [
        {
            "video": row["video_id"], "start_seconds": row["start_seconds"], "end_seconds": row["end_seconds"],
            "label": "low" if i % 2 else "high", "split": split[row["video_id"]],
        }
        for i, row in enumerate(rows)
    ]  # fmt: skip
    (root / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels))
    (tmp_path / "elsewhere.py").write_text(SCRIPT)
    env = {k: v for k, v in inherited_env().items() if k != "RAY_ADDRESS"} | {
        "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "DIED": str(tmp_path / "died"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(tmp_path / "elsewhere.py"), str(root), str(small_root.folder)],
        env=env, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    one, two = (load_file(root / name / "model.safetensors") for name in ("local", "two"))
    # Adam turns the last bit of a tiny gradient into a step: single weights may differ, their sum does not.
    difference = sum(float(np.abs(two[name] - value).sum()) for name, value in one.items())
    assert 0 < difference < 1e-4 * sum(float(np.abs(value).sum()) for value in one.values())
    assert (tmp_path / "died").exists()
    files = {path.name: path.read_bytes() for path in (root / "local").iterdir() if path.is_file()}
    assert {path.name: path.read_bytes() for path in (root / "resumed").iterdir() if path.is_file()} == files
    told = json.loads((root / "best" / "metrics.json").read_text())["search"]
    best = told["trials"][told["best"]]
    assert [trial["number"] for trial in told["trials"]] == [0, 1, 2] and told["trials"][0]["changes"] == {}
    assert best["value"] == max(trial["value"] for trial in told["trials"])
    assert "(taken)" in (root / "best" / "report.html").read_text()
    assert (
        json.loads((root / "best" / "metrics.json").read_text())["validation"][best["epoch"] - 1]["loss"]
        == best["loss"]
    )


def test_trials_follow_from_seed_and_number() -> None:
    config = FinetuneConfig(labels="x.csv")
    assert drawn(config, 0) == {} and drawn(config, 3) == drawn(config, 3) != drawn(config, 4)
    assert parse_search("trials=20") == 20
    for wrong in ("20", "trials=", "trials=0", "trials=-1", "trials=2000", "tries=3"):
        with pytest.raises(InputError, match=r"write trials=20"):
            parse_search(wrong)
    with pytest.raises(InputError, match=r"leave it to `videobert finetune --search"):
        FinetuneConfig(search="../elsewhere.json")
