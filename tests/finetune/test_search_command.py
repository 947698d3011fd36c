"""`videobert finetune --search trials=2`: the model is that of the best trial, and the report lists the trials.

Part of `make test-e2e`; the search itself is in test_ray.py.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.ray_head import inherited_env
from tests.small_root import SmallRoot
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.search import drawn


@pytest.mark.ray
@pytest.mark.slow
def test_the_best_of_two_trials_is_the_model_and_both_stand_in_its_report(
    request: pytest.FixtureRequest, small_root: SmallRoot, tmp_path: Path
) -> None:
    if request.config.getoption("--batches") <= 3:
        pytest.skip("`make test-e2e` runs the command; test_ray.py searches in one Ray with other tests")
    root = tmp_path / "demo"
    shutil.copytree(small_root.root, root)
    truth = [json.loads(line) for line in (small_root.folder / "corpus/truth/truth.jsonl").read_text().splitlines()]
    videos = sorted({row["video_id"] for row in truth})
    split = dict(zip(videos, ("test", "validation", "train", "train", "train", "train"), strict=True))
    labels = [{"video": row["video_id"], "label": "ab"[i % 2], "split": split[row["video_id"]],
               "start_seconds": row["start_seconds"], "end_seconds": row["end_seconds"]}
              for i, row in enumerate(truth)]  # fmt: skip
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels))
    command = [
        sys.executable, "-m", "videobert", "finetune", "--task", "classification", "--root", str(root),
        "--labels", str(tmp_path / "labels.jsonl"), "--search", "trials=2", "--finetune.epochs", "1",
        "--finetune.batch-size", "8", "--finetune.bootstrap-draws", "5",
    ]  # fmt: skip
    env = {k: v for k, v in inherited_env().items() if k != "RAY_ADDRESS"} | {"RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    (folder,) = (root / "finetuned").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())
    told = metrics["search"]
    assert [trial["number"] for trial in told["trials"]] == [0, 1]
    best = max(told["trials"], key=lambda trial: (trial["value"], -trial["loss"], -trial["number"]))
    assert best["number"] == told["best"] and best["changes"] == drawn(FinetuneConfig(), best["number"])
    manifest = json.loads((folder / "_manifest.json").read_text())
    assert best["changes"].items() <= manifest["config"].items()
    assert manifest["config"]["search"] in done.stdout
    assert "(taken)" in (folder / "report.html").read_text()
