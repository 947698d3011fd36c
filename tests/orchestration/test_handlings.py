"""What an on-call engineer does to a live deployment on PostgreSQL: each click has the effect that the docs promise.

Part of `make test-e2e`; what is quick of it, and every interleaving, is in tests/airflow_ray_jobs and tests/admin.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from infra.local.processes import ServiceError
from tests.inbox import Inbox, open_inbox
from tests.orchestration.stack import DAGS, RECIPE, REPOSITORY, Stack, started
from videobert.demo.grammar import demo_kitchen
from videobert.demo.render import write_kitchen

pytestmark = [pytest.mark.airflow, pytest.mark.ray, pytest.mark.slow]

BATCHES = ("2026-01-01", "2026-01-02")
LATE = "late-uploads"
# No part of Airflow dies here, and on a busy machine one that is slow must not be taken for dead.
PATIENT = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "120",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "120",
}
SLEEPERS = ("sleeps_deferred", "sleeps_watched")


@pytest.fixture(scope="module")
def inbox(request: pytest.FixtureRequest) -> Iterator[Inbox]:
    if request.config.getoption("--batches") <= 3:
        pytest.skip("`make test-e2e` tries the handlings; each one's quick version is in the folders of its parts")
    with open_inbox() as found:
        yield found


@pytest.fixture(scope="module")
def corpus(inbox: Inbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_kitchen(demo_kitchen(1), out_url=str(folder), batches=(*BATCHES, LATE), videos_per_batch=3)
    (folder / "videos" / "2026-01-20").mkdir()
    return folder


@pytest.fixture(scope="module")
def stack(inbox: Inbox, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """With every option of the alerts on."""
    folder = tmp_path_factory.mktemp("stack")
    dags = folder / "dags"
    shutil.copytree(REPOSITORY / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).parent / "dags" / "handlings.py", dags)
    recipe = folder / "handlings.toml"
    recipe.write_text(RECIPE.format(corpus=corpus))
    settings = inbox.environment | {
        "VIDEOBERT_RECIPE": str(recipe), "VIDEOBERT_LATE_HOURS": "ingest=0.002",
        "VIDEOBERT_APPROVAL": "yes", "VIDEOBERT_TRAIN_AFTER": "week", "VIDEOBERT_SWEEP_CRON": "none",
        "VIDEOBERT_DEFER_SECONDS": "20",
    } | PATIENT  # fmt: skip
    unpaused = [*DAGS, *SLEEPERS, "videobert_sweep"]
    with started(folder, corpus=corpus, dags=dags, unpaused=unpaused, more=settings) as found:
        yield found


class Run:
    """One run of a DAG whose job sleeps."""

    def __init__(self, stack: Stack, dag: str, run_id: str, **conf: Any) -> None:
        self.stack, self.dag, self.run_id = stack, dag, run_id
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        stack.airflow.call("POST", f"/dags/{dag}/dagRuns", body)

    @property
    def path(self) -> str:
        return f"/dags/{self.dag}/dagRuns/{self.run_id}/taskInstances/job"

    def task(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stack.airflow.call("GET", self.path)
        return found

    def wait(self, *states: str, seconds: float = 900.0) -> dict[str, Any]:
        """Until the task is in one of the states."""

        def look() -> dict[str, Any] | None:
            task = self.task()
            return task if task["state"] in states else None

        return self.stack.wait_for(f"{self.run_id} {states}", look, seconds=seconds)

    def job(self, state: str = "deferred") -> str:
        """Id of the job that it watches, once that runs."""
        self.wait(state)

        def look() -> str | None:
            with contextlib.suppress(ServiceError):  # the link comes a moment after the state
                found = self.stack.submission_id(self.task())
                return found if jobs(self.stack).get(found) == "RUNNING" else None
            return None

        return self.stack.wait_for(f"the job of {self.run_id}", look)

    def mark(self, state: str) -> None:
        self.stack.airflow.call("PATCH", self.path, {"new_state": state})

    def clear(self) -> None:
        body = {"dry_run": False, "dag_run_id": self.run_id, "task_ids": ["job"], "only_failed": False}
        self.stack.airflow.call("POST", f"/dags/{self.dag}/clearTaskInstances", body)


def jobs(stack: Stack) -> dict[str, str]:
    return {job["submission_id"]: job["status"] for job in stack.jobs()}


def wait_for_job(stack: Stack, job: str, *states: str) -> None:
    stack.wait_for(f"{job} {states}", lambda: jobs(stack).get(job) in states)


_HEAD, _SUBMITTER = "dashboard/dashboard.py", "ray::DashboardAgent"


@contextlib.contextmanager
def suspended(stack: Stack, part: str) -> Iterator[None]:
    """A part of the Ray head takes connections and answers none, as on a node that swaps."""
    servers = []
    for one in psutil.Process(stack.ray.service.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # the driver of a job that has just ended
            servers += [one] if part in " ".join(one.cmdline()) else []
    assert servers, f"no {part} below Ray's head"
    for server in servers:
        server.suspend()
    try:
        yield
    finally:
        for server in servers:
            server.resume()


def sweep(stack: Stack) -> list[str]:
    """Run `videobert_sweep` to its end; ids of the jobs that it stopped."""
    body = {"logical_date": None}
    run = stack.airflow.call("POST", "/dags/videobert_sweep/dagRuns", body)["dag_run_id"]
    path = f"/dags/videobert_sweep/dagRuns/{quote(run)}"
    stack.wait_for("the sweep", lambda: stack.airflow.call("GET", path)["state"] == "success")
    found: list[str] = stack.airflow.call("GET", f"{path}/taskInstances/sweep/xcomEntries/return_value")["value"]
    return found


def test_marking_failed_stops_the_job_also_of_a_slow_head(stack: Stack) -> None:
    run = Run(stack, "sleeps_deferred", "marked")
    job = run.job()
    with suspended(stack, _HEAD):
        run.mark("failed")
        run.wait("failed")
        time.sleep(8)  # Airflow cancels the stop at each of these seconds
    wait_for_job(stack, job, "STOPPED")
    assert run.task()["try_number"] == 1  # also of the first task, for which Airflow builds an API


def test_marking_failed_while_the_worker_submits_leaves_no_job(stack: Stack) -> None:
    before = jobs(stack)
    with suspended(stack, _SUBMITTER):
        run = Run(stack, "sleeps_deferred", "submitting")
        run.wait("running")
        stack.wait_for("the submission", lambda: follows_a_job(stack, "submitting"))
        time.sleep(2)
        run.mark("failed")
        run.wait("failed")
        time.sleep(8)
    time.sleep(5)  # what was sent arrives now
    sweep(stack)
    stack.wait_for(
        "no live job that nobody wants",
        lambda: all(state in ("STOPPED", "FAILED") for job, state in jobs(stack).items() if job not in before),
    )
    assert run.task()["try_number"] == 1


def follows_a_job(stack: Stack, run_id: str) -> bool:
    """Whether the worker has written that it follows a job, which it does right before it submits."""
    found = stack.airflow.call("GET", "/variables?variable_key_prefix_pattern=ray_job.&limit=100")["variables"]
    return any(json.loads(one["value"])["run_id"] == run_id for one in found)


def test_the_sweep_stops_a_job_whose_triggerer_was_dead_when_it_was_marked(stack: Stack) -> None:
    wanted = Run(stack, "sleeps_watched", "wanted")  # by a worker: a triggerer that begins to watch one sweeps as well
    run = Run(stack, "sleeps_deferred", "abandoned")
    kept, job = wanted.job("running"), run.job()
    stack.airflow.kill_and_restart("triggerer")
    run.mark("failed")
    assert sweep(stack) == [job]
    wait_for_job(stack, job, "STOPPED")
    assert jobs(stack)[kept] == "RUNNING" and wanted.task()["state"] == "running"
    wanted.mark("success")
    wait_for_job(stack, kept, "STOPPED")


def test_the_last_of_two_runs_stops_their_job(stack: Stack) -> None:
    one, two = (Run(stack, "sleeps_deferred", name, key="shared") for name in ("one", "two"))
    job = one.job()
    assert two.job() == job
    one.mark("failed")
    one.wait("failed")
    time.sleep(8)
    assert jobs(stack)[job] == "RUNNING"
    two.mark("success")
    wait_for_job(stack, job, "STOPPED")


def test_clear_twice_ends_with_one_live_job(stack: Stack) -> None:
    run = Run(stack, "sleeps_deferred", "cleared")
    seen = [run.job()]
    for _ in range(2):
        run.clear()
        stack.wait_for("a new job", partial(is_another, run, seen[-1]))
        seen.append(run.job())
    assert len(set(seen)) == 3
    stack.wait_for(
        "one live job", lambda: [jobs(stack)[job] for job in seen] == ["STOPPED", "STOPPED", "RUNNING"]
    )  # fmt: skip
    run.mark("failed")
    wait_for_job(stack, seen[-1], "STOPPED")


def is_another(run: Run, job: str) -> bool:
    try:
        return run.task()["state"] == "deferred" and run.stack.submission_id(run.task()) != job
    except ServiceError:
        return False


def test_a_killed_worker_leaves_its_job_to_the_next_try(stack: Stack) -> None:
    run = Run(stack, "sleeps_watched", "killed", seconds=120)
    job = run.job("running")
    pid = run.task()["pid"]
    psutil.Process(pid).kill()
    task = run.wait("success")
    assert task["try_number"] == 2 and stack.submission_id(task) == job
    assert [j["status"] for j in stack.jobs() if j["metadata"].get("run_id") == "killed"] == ["SUCCEEDED"]


def test_the_log_of_the_job_is_in_the_log_of_the_task(stack: Stack) -> None:
    run = Run(stack, "sleeps_watched", "told", seconds=1)
    run.wait("success")
    lines = stack.airflow.call("GET", f"{run.path}/logs/1")["content"]
    told = [line for line in lines if line.get("event") == "the job says hello"]
    assert [line["level"] for line in told] == ["info"]


def test_a_failure_a_recovery_and_a_late_run_are_told(stack: Stack, inbox: Inbox, corpus: Path) -> None:
    name = "typed-wrong"
    with pytest.raises(AssertionError, match="1 of 1 runs of videobert_ingest failed"):
        stack.videobert("trigger", "--batch", name, "--wait")
    failed, recovered = (f"videobert_ingest {name} {what}" for what in ("failed", "has recovered"))
    stack.wait_for("the mail", lambda: failed in [mail["Subject"] for mail in inbox.mails])
    stack.wait_for("the post", lambda: any(post["text"].startswith(failed) for post in inbox.posts))
    shutil.copytree(corpus / "videos" / LATE, corpus / "videos" / name)
    stack.videobert("trigger", "--batch", name, "--wait")
    stack.wait_for("the mail", lambda: recovered in [mail["Subject"] for mail in inbox.mails])
    late = "is late: not done 0.002 hours after it was queued"
    stack.wait_for("the late mail", lambda: any(late in str(mail["Subject"]) for mail in inbox.mails))
    stack.wait_for("the late post", lambda: any(late in post["text"] for post in inbox.posts))
    assert sum(mail["Subject"] == failed for mail in inbox.mails) == 1


def test_a_scheduled_day_without_videos_is_skipped(stack: Stack) -> None:
    """One whose prefix is empty, and one without."""
    stack.videobert("backfill", "--from", "2026-01-20", "--to", "2026-01-21", "--wait")
    days = ("2026-01-20", "2026-01-21")
    runs = [run for run in stack.runs() if run["partition_key"] in days]
    assert [run["state"] for run in runs] == ["success"] * 2
    for run in runs:
        tasks = {task["task_id"]: (task["state"], task["try_number"]) for task in stack.tasks(run)}
        assert tasks["ingest"] == ("skipped", 1) and tasks["shard"][0] == tasks["features"][0] == "skipped"
        assert tasks["day_is_done"][0] == "success"
    events = stack.airflow.call("GET", f"/assets/events?asset_id={days_asset(stack)}&limit=100")["asset_events"]
    assert {event["partition_key"] for event in events} >= set(days)  # a week does not wait for them


def days_asset(stack: Stack) -> int:
    (asset,) = stack.airflow.call("GET", "/assets?name_pattern=videobert_days")["assets"]
    return int(asset["id"])


@pytest.mark.parametrize("key", ["k" * 300, "a b", "ключ", "a/b", "a,b", "$(touch x)", "x\ny", "-rf"])
def test_a_key_that_is_none_starts_nothing(stack: Stack, key: str) -> None:
    for dag, name in (("videobert_ingest", "batch"), ("videobert_train", "batches")):
        if name == "batches" and key == "a,b":
            continue  # two keys
        with pytest.raises(ServiceError, match=r"answered 4\d\d"):
            stack.airflow.call("POST", f"/dags/{dag}/dagRuns", {"logical_date": None, "conf": {name: key}})


def test_a_hostile_partition_of_an_event_runs_nothing(stack: Stack, tmp_path: Path) -> None:
    key = f"$(touch {tmp_path}/marker)"
    (asset,) = stack.airflow.call("GET", "/assets?name_pattern=videobert_features")["assets"]
    stack.airflow.call("POST", "/assets/events", {"asset_id": asset["id"], "partition_key": key})

    def ended() -> str | None:
        states = [run["state"] for run in stack.runs("videobert_embed") if run["partition_key"] == key]
        return states[0] if states and states[0] in ("failed", "success") else None

    stack.wait_for("the run of the event", ended)
    assert not (tmp_path / "marker").exists()
    assert not any("touch" in job["entrypoint"] for job in stack.jobs())


def train(stack: Stack, run_id: str) -> dict[str, Any]:
    """A training, until it waits for its approval."""
    stack.airflow.call("POST", "/dags/videobert_train/dagRuns", {"dag_run_id": run_id, "logical_date": None})
    return wait_for_approval(stack, run_id)


def wait_for_approval(stack: Stack, run_id: str) -> dict[str, Any]:
    def waits() -> dict[str, Any] | None:
        (run,) = [run for run in stack.runs("videobert_train") if run["dag_run_id"] == run_id]
        assert run["state"] != "failed", stack.summary()
        return run if {"approve": "awaiting_input"}.items() <= states(stack, run).items() else None

    return stack.wait_for(f"{run_id} to wait for its approval", waits, seconds=2400)


def states(stack: Stack, run: dict[str, Any]) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in stack.tasks(run)}


_READS_SECONDS = 20.0
"""A person reads first. Airflow 3.3.2 takes a task that is answered before its scheduler has heard of the question for
lost, forgets the answer and asks again."""


def answer(stack: Stack, run: dict[str, Any], option: str) -> dict[str, str]:
    """Approve or reject, by the API that the UI uses; the states of all tasks in the end."""
    path = f"/dags/videobert_train/dagRuns/{quote(run['dag_run_id'])}/taskInstances/approve/-1/hitlDetails"
    detail = stack.airflow.call("GET", path)
    assert "report.html" in detail["body"] and detail["subject"].startswith("Shall readers turn to pretrain-")
    time.sleep(_READS_SECONDS)
    stack.airflow.call("PATCH", path, {"chosen_options": [option], "params_input": {}})

    def ended() -> bool:
        (now,) = [one for one in stack.runs("videobert_train") if one["dag_run_id"] == run["dag_run_id"]]
        assert now["state"] != "failed", stack.summary()
        return bool(now["state"] == "success")

    stack.wait_for("the end of the training", ended, seconds=2400)
    return states(stack, run)


def test_a_rejected_model_is_not_promoted_and_an_approved_one_takes_new_data_along(stack: Stack, inbox: Inbox) -> None:
    stack.videobert("backfill", "--from", BATCHES[0], "--to", BATCHES[-1], "--wait")
    rejected = answer(stack, train(stack, "rejected"), "Reject")
    assert rejected["approve"] == "success" and rejected["embed"] == rejected["promote"] == "skipped"
    assert "no model is promoted" in stack.videobert("models", "--root", str(stack.root))
    waiting = train(stack, "approved")
    stack.videobert("trigger", "--batch", LATE, "--wait")  # new data, while somebody looks at the report
    approved = answer(stack, waiting, "Approve")
    assert approved["embed"] == approved["promote"] == "success"
    pointer = json.loads((stack.root / "models/current.json").read_text())
    embedded = {path.name for path in (stack.root / f"embeddings/model={pointer['embed_spec']}").glob("batch=*")}
    assert embedded >= {f"batch={batch}" for batch in (*BATCHES, LATE)}
    assert sum("a model waits for an approval" in str(mail["Subject"]) for mail in inbox.mails) == 2


def test_seven_days_start_one_training(stack: Stack) -> None:
    stack.videobert("backfill", "--from", BATCHES[0], "--to", BATCHES[-1], "--wait")

    def of_weeks() -> list[dict[str, Any]]:
        return [run for run in stack.runs("videobert_train") if run["partition_key"]]

    asset = days_asset(stack)
    for day in range(12, 19):  # Monday to Sunday
        assert not of_weeks()
        body = {"asset_id": asset, "partition_key": f"2026-01-{day}"}
        stack.airflow.call("POST", "/assets/events", body)
    (run,) = stack.wait_for("the training of the week", of_weeks)
    assert run["partition_key"] == "2026-01-12"
    assert answer(stack, wait_for_approval(stack, run["dag_run_id"]), "Reject")["gates"] == "success"
    assert len(of_weeks()) == 1


def test_a_restarted_head_costs_no_try(stack: Stack) -> None:
    """The last one: what the head knew is gone."""
    run = Run(stack, "sleeps_deferred", "restarted", seconds=90)
    run.job()
    stack.ray.restart()
    stack.ray.wait()
    assert run.wait("success")["try_number"] == 1
