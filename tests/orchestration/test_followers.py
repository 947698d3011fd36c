"""What follows new embeddings in a live deployment: a task is learnt after a promotion, and new batches are answered.

Part of `make test-e2e`. On the way the job of an application dies, and its table stands whole all the same.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from tests.orchestration.stack import DAGS, RECIPE, Stack, started
from videobert.demo.grammar import demo_kitchen
from videobert.demo.render import write_kitchen

pytestmark = [pytest.mark.airflow, pytest.mark.ray, pytest.mark.slow]

BATCHES = ("2026-01-01", "2026-01-02")
LATE = "late-uploads"
FOLLOWERS = ("videobert_finetune", "videobert_predict", "videobert_applications")
FINETUNE = """
[finetune]
labels = "{labels}"
epochs = 1
batch_size = 8
bootstrap_draws = 5
"""


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if request.config.getoption("--batches") <= 3:
        pytest.skip("`make test-e2e` runs what follows embeddings; its parts are in tests/dags, finetune, predict")
    folder = tmp_path_factory.mktemp("followers")
    corpus, recipe, labels = folder / "corpus", folder / "followers.toml", folder / "labels.jsonl"
    write_kitchen(demo_kitchen(1), out_url=str(corpus), batches=(*BATCHES, LATE), videos_per_batch=3)
    labels.write_text("".join(f"{json.dumps(row)}\n" for row in labelled(corpus)))
    recipe.write_text(RECIPE.format(corpus=corpus) + FINETUNE.format(labels=labels))
    settings = {
        "VIDEOBERT_RECIPE": str(recipe), "VIDEOBERT_SWEEP_CRON": "none", "VIDEOBERT_DEFER_SECONDS": "20",
        "VIDEOBERT_APPLICATIONS": "anomalies --per-hour 600", "VIDEOBERT_APPLICATIONS_OUT": str(folder / "tables"),
    }  # fmt: skip
    with started(folder / "stack", corpus=corpus, unpaused=[*DAGS, *FOLLOWERS], more=settings) as found:
        yield found


def labelled(corpus: Path) -> Iterator[dict[str, Any]]:
    """Steps of the training batches' videos with a label, and which video is for what."""
    truth = [json.loads(line) for line in (corpus / "truth/truth.jsonl").read_text().splitlines()]
    training = [row for row in truth if row["batch"] in BATCHES]
    videos = sorted({row["video_id"] for row in training})
    split = dict(zip(videos, ("test", "validation", "train", "train", "train", "train"), strict=True))
    for number, row in enumerate(training):
        seconds = {name: row[name] for name in ("start_seconds", "end_seconds")}
        yield {"video": row["video_id"], "label": "ab"[number % 2], "split": split[row["video_id"]]} | seconds


def ended(stack: Stack, dag: str, **wanted: Any) -> dict[str, str]:
    """Wait for the run of a DAG that has these fields; states of its tasks once it has succeeded."""

    def look() -> dict[str, Any] | None:
        found = [run for run in stack.runs(dag) if wanted.items() <= run.items()]
        assert not [run for run in found if run["state"] == "failed"], [stack.tasks(run) for run in found]
        return next((run for run in found if run["state"] == "success"), None)

    run = stack.wait_for(f"{dag} {wanted}", look)
    return {task["task_id"]: task["state"] for task in stack.tasks(run)}


def predicted(stack: Stack) -> set[str]:
    return {path.parent.name for path in stack.root.glob("predictions/task=*/batch=*/*.parquet")}


def test_a_promotion_starts_a_fine_tuning_that_answers_for_every_batch(stack: Stack) -> None:
    stack.videobert("backfill", "--from", BATCHES[0], "--to", BATCHES[-1], "--wait")
    stack.airflow.call("POST", "/dags/videobert_train/dagRuns", {"dag_run_id": "first", "logical_date": None})
    assert ended(stack, "videobert_train", dag_run_id="first")["promote"] == "success"
    assert set(ended(stack, "videobert_finetune").values()) == {"success"}
    assert predicted(stack) == {f"batch={batch}" for batch in BATCHES}


def test_a_new_batch_is_answered_and_a_killed_application_is_repeated(stack: Stack) -> None:
    stack.videobert("trigger", "--batch", LATE, "--wait")

    def job() -> psutil.Process | None:
        for process in psutil.Process(stack.ray.service.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[1:4] == ["-m", "videobert", "anomalies"] and LATE in process.cmdline():
                    return process
        return None

    stack.wait_for("the application's process", job).kill()
    assert ended(stack, "videobert_applications", partition_key=LATE) == {"anomalies": "success"}
    (run,) = [run for run in stack.runs("videobert_applications") if run["partition_key"] == LATE]
    assert [task["try_number"] for task in stack.tasks(run)] == [2]
    written = {path.name for path in (stack.root.parents[1] / "tables/anomalies").iterdir()}
    assert f"{LATE}.parquet" in written <= {f"{batch}.parquet" for batch in (*BATCHES, LATE)}
    table = pq.read_table(stack.root.parents[1] / f"tables/anomalies/{LATE}.parquet")
    assert table.num_rows > 0 and set(table["batch"].to_pylist()) == {LATE}
    assert set(ended(stack, "videobert_predict", partition_key=LATE).values()) == {"success"}
    assert f"batch={LATE}" in predicted(stack)
