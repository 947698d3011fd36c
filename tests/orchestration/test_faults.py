"""A backfill under a real scheduler on PostgreSQL while its parts die: in the end every batch stands once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.orchestration.stack import FINAL, SECRETS, Stack, objects, reference, started
from videobert.demo.grammar import demo_kitchen
from videobert.demo.render import write_kitchen

pytestmark = [pytest.mark.airflow, pytest.mark.ray, pytest.mark.slow]

NAMED = "late-uploads"


@pytest.fixture(scope="module")
def days(request: pytest.FixtureRequest) -> list[str]:
    first = date(2026, 1, 1)
    return [str(first + timedelta(days=number)) for number in range(request.config.getoption("--batches"))]


@pytest.fixture(scope="module")
def corpus(days: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_kitchen(demo_kitchen(1), out_url=str(folder), batches=(*days, NAMED), videos_per_batch=3)
    return folder


@pytest.fixture(scope="module")
def undisturbed(days: list[str], corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process writes when nothing happens to it."""
    return reference(tmp_path_factory.mktemp("reference") / "root", corpus, days)


@pytest.fixture(scope="module")
def stack(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with started(tmp_path_factory.mktemp("stack"), corpus=corpus, shard_groups=2) as found:
        yield found


def backfills(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.airflow.call("GET", "/backfills?dag_id=videobert_ingest")["backfills"]
    return found


def test_a_calm_backfill(
    days: list[str], corpus: Path, undisturbed: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    if len(days) <= 3:
        pytest.skip("`make test-e2e` runs the backfill without faults too")
    with started(tmp_path_factory.mktemp("calm"), corpus=corpus) as stack:
        stack.videobert("backfill", "--from", days[0], "--to", days[-1], "--wait")
        assert all(job["status"] == "SUCCEEDED" for job in stack.jobs())
        assert objects(stack.root) == undisturbed


def test_a_backfill_survives_its_parts(stack: Stack, days: list[str], undisturbed: dict[str, bytes]) -> None:
    span = ("--from", days[0], "--to", days[-1])
    plan = stack.videobert("backfill", *span, "--dry-run")
    assert plan.split()[: len(days)] == days and not stack.runs()
    stack.videobert("backfill", *span)

    stack.wait_for("a deferred task", stack.deferred)
    stack.airflow.kill_and_restart("triggerer")
    cancelled, job = stack.wait_for("a deferred task", stack.deferred)
    path = f"/dags/{cancelled['dag_id']}/dagRuns/{cancelled['dag_run_id']}/taskInstances/{cancelled['task_id']}"
    stack.airflow.call("PATCH", path, {"new_state": "failed"})
    stack.wait_for(
        "the cancelled job's end", lambda: any(j["submission_id"] == job and j["status"] in FINAL for j in stack.jobs())
    )
    stack.airflow.kill_and_restart("scheduler")
    actor = stack.wait_for("an actor", lambda: next(iter(stack.actors()), None))
    actor.kill()

    ended = stack.wait_until_done(runs=len(days))
    assert ended == Counter(success=len(days) - 1, failed=1), stack.summary()
    stack.wait_for("the backfill's end", lambda: backfills(stack)[0]["completed_at"])
    told = stack.videobert("backfill", *span, "--reprocess", "failed", "--wait")
    assert "1 success" in told
    jobs = stack.jobs()
    assert all(job["status"] in FINAL for job in jobs)
    assert objects(stack.root) == undisturbed
    computed = stack.computed()
    stack.videobert("backfill", *span, "--reprocess", "completed", "--wait")
    # Nothing has changed since: no job starts, also for tasks that a busy Airflow loses and queues anew.
    known = {job["submission_id"] for job in jobs}
    assert [job["entrypoint"] for job in stack.jobs() if job["submission_id"] not in known] == []
    assert stack.computed() == computed
    assert objects(stack.root) == undisturbed


def test_two_runs_of_one_batch_at_once_do_the_work_once(stack: Stack) -> None:
    before = len(stack.runs())
    for number in (1, 2):
        body = {"dag_run_id": f"twice-{number}", "logical_date": None, "conf": {"batch": NAMED}}
        stack.airflow.call("POST", "/dags/videobert_ingest/dagRuns", body)
    told = stack.videobert("trigger", "--batch", NAMED, "--wait")
    assert "no second one is started" in told
    stack.wait_until_done(runs=before + 2)
    assert {run["state"] for run in stack.runs() if run["dag_run_id"].startswith("twice")} == {"success"}
    assert {key: n for key, n in stack.computed().items() if key[1] == NAMED and n != 1 and key[0] != "features"} == {}


def test_a_batch_of_any_name_reaches_the_embedding_dag_with_its_counts(stack: Stack) -> None:
    run = stack.wait_for(
        "the embedding run",
        lambda: next((r for r in stack.runs("videobert_embed") if r["partition_key"] == NAMED), None),
    )
    stack.wait_for(
        "its end",
        lambda: (
            run["dag_run_id"] in {r["dag_run_id"] for r in stack.runs("videobert_embed") if r["state"] == "success"}
        ),
    )
    events = stack.airflow.call("GET", "/assets/events?limit=100")["asset_events"]
    counts = [event["extra"]["counts"]["videos"] for event in events if event.get("partition_key") == NAMED]
    assert counts and set(counts) == {3}


def test_a_wrong_batch_fails_at_once_and_says_why(stack: Stack) -> None:
    started_at = time.monotonic()
    with pytest.raises(AssertionError, match="1 of 1 runs of videobert_ingest failed"):
        stack.videobert("trigger", "--batch", "no-such-batch", "--wait")
    (run,) = [run for run in stack.runs() if (run["conf"] or {}).get("batch") == "no-such-batch"]
    tries = {task["task_id"]: (task["state"], task["try_number"]) for task in stack.tasks(run)}
    assert tries["ingest"] == ("failed", 1), f"{tries} after {time.monotonic() - started_at:.0f} s"


def test_no_secret_stands_in_what_airflow_and_ray_have_written(stack: Stack) -> None:
    """After all of the above: logs of every process, of Ray, of tasks and jobs; the database with its XComs."""
    values = {**SECRETS, "token of Ray": stack.ray.token, "password of Airflow": stack.airflow.password}
    kept = dict(stack.told())
    assert {Path(place).name for place in kept} >= {"raylet.out", "table xcom", "table trigger", "scheduler.log"}
    assert any("job-driver" in place for place in kept) and any("/logs/dag_id=" in place for place in kept)
    found = [(place, name) for place, data in kept.items() for name, value in values.items() if value.encode() in data]
    assert [place for place in found if not place[0].endswith("/passwords.json")] == []
