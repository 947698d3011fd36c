"""The operator in a worker: submission, deferral, result, failure, cancellation."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk import DAG, Context
from airflow.sdk.exceptions import TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization

from airflow_ray_jobs.errors import (
    RayJobBadInput,
    RayJobFailed,
    RayJobLost,
    RayJobResultError,
    RayJobSetupError,
    RayJobStopped,
    RayJobTimeout,
    RayUnavailable,
)
from airflow_ray_jobs.ray_job import RayJobOperator
from airflow_ray_jobs.trigger import RayJobTrigger
from tests.airflow_ray_jobs.fakes import TOKEN, FakeJob, FakeJobsApi, FakeTaskInstance


def operator(**kwargs: Any) -> RayJobOperator:
    settings: dict[str, Any] = {"entrypoint": "run me", "poll_seconds": 0.05} | kwargs
    return RayJobOperator(task_id="task", **settings)


def context(run_id: str = "run") -> tuple[Context, FakeTaskInstance]:
    ti = FakeTaskInstance(run_id)
    return cast(Context, {"ti": ti}), ti


def execute(found: RayJobOperator, run_id: str = "run") -> Any:
    return found.execute(context(run_id)[0])


@pytest.fixture
def finishing(fake: FakeJobsApi) -> Iterator[FakeJobsApi]:
    """A cluster whose jobs write their result at once and succeed."""
    ended = threading.Event()

    def finish() -> None:
        while not ended.wait(0.02):
            for submission_id, job in list(fake.jobs.items()):
                if job.status == "RUNNING" and job.request:
                    uri = job.request["runtime_env"]["env_vars"].get("RAY_JOB_RESULT_URI")
                    if uri:
                        Path(uri).write_text(json.dumps({"submission_id": submission_id, "rows": 7}))
                    job.status = "SUCCEEDED"

    thread = threading.Thread(target=finish, daemon=True)
    thread.start()
    yield fake
    ended.set()
    thread.join()


def test_deferred_task_hands_the_trigger_all_but_the_token(fake: FakeJobsApi) -> None:
    ctx, ti = context()
    with pytest.raises(TaskDeferred) as caught:
        operator(deadline=timedelta(hours=1), runtime_env={"env_vars": {"A": 1}}).execute(ctx)
    trigger = caught.value.trigger
    assert isinstance(trigger, RayJobTrigger) and TOKEN not in repr(trigger)
    assert caught.value.method_name == "execute_complete"
    assert timedelta(hours=1) < caught.value.timeout <= timedelta(hours=1, minutes=5)
    assert trigger.settings.deadline_seconds == pytest.approx(time.time() + 3600, abs=10)
    [(submission_id, job)] = fake.jobs.items()
    assert ti.pushed == {"ray_job_link": f"{fake.url}/#/jobs/{submission_id}"}
    assert job.request["runtime_env"]["env_vars"] == {"A": "1", "RAY_JOB_SUBMISSION_ID": submission_id}
    assert job.request["metadata"] == {"dag_id": "dag", "run_id": "run", "task_id": "task", "map_index": "-1"}


def test_without_a_deadline_nothing_times_out(fake: FakeJobsApi) -> None:
    with pytest.raises(TaskDeferred) as caught:
        execute(operator())
    assert caught.value.timeout is None and caught.value.trigger.settings.deadline_seconds is None


def test_the_deadline_counts_from_the_acceptance_of_a_job_attached_to(fake: FakeJobsApi) -> None:
    with pytest.raises(TaskDeferred):
        execute(operator())
    with pytest.raises(TaskDeferred) as caught:
        execute(operator(deadline=timedelta(hours=1)))
    assert len(fake.jobs) == 1
    assert caught.value.trigger.settings.deadline_seconds == 1_700_000_000 + 3600


def test_resources_and_accelerator_reach_the_server_and_the_callers_dictionaries_stay(fake: FakeJobsApi) -> None:
    runtime_env: dict[str, Any] = {"env_vars": {"A": "1"}}
    resources = {"big": 1.0}
    with pytest.raises(TaskDeferred):
        execute(
            operator(
                runtime_env=runtime_env, entrypoint_resources=resources, accelerator_type="H100",
                entrypoint_num_cpus=0, entrypoint_num_gpus=1, entrypoint_memory=1024,
            )
        )  # fmt: skip
    [job] = fake.jobs.values()
    assert job.request["entrypoint_resources"] == {"big": 1.0, "accelerator_type:H100": 0.001}
    assert (job.request["entrypoint_num_cpus"], job.request["entrypoint_num_gpus"]) == (0, 1)
    assert job.request["entrypoint_memory"] == 1024
    assert runtime_env == {"env_vars": {"A": "1"}} and resources == {"big": 1.0}


def test_a_local_working_dir_is_refused_with_a_cure(fake: FakeJobsApi) -> None:
    with pytest.raises(RayJobBadInput, match=r"working_dir='\./code'.*image"):
        execute(operator(runtime_env={"working_dir": "./code"}))
    assert not fake.jobs


def test_waiting_in_the_worker_gives_the_result_and_a_second_run_reuses_it(
    finishing: FakeJobsApi, tmp_path: Path
) -> None:
    settings = {"deferrable": False, "result_uri": f"{tmp_path}/{{submission_id}}.json"}
    first = execute(operator(**settings))
    assert first["rows"] == 7 and list(finishing.jobs) == [first["submission_id"]]
    posts = [call for call in finishing.calls if call[0] == "POST"]
    assert execute(operator(**settings)) == first | {"reused": True}
    assert [call for call in finishing.calls if call[0] == "POST"] == posts
    assert execute(operator(**settings, force="true"))["submission_id"].endswith("-a2")


def test_a_success_that_no_longer_validates_runs_again(finishing: FakeJobsApi, tmp_path: Path) -> None:
    stands = True

    def validate(result: dict[str, Any]) -> bool:
        assert result["rows"] == 7
        return stands or result["submission_id"].endswith("-a2")

    settings = {"deferrable": False, "result_uri": f"{tmp_path}/{{submission_id}}.json", "validate": validate}
    assert execute(operator(**settings))["submission_id"].endswith("-a1")
    stands = False
    assert execute(operator(**settings))["submission_id"].endswith("-a2")


def test_a_success_that_stands_no_more_runs_again_and_is_not_asked_of_a_job_that_just_ended(
    finishing: FakeJobsApi, tmp_path: Path
) -> None:
    asked = []

    def stands(result: dict[str, Any]) -> bool:
        asked.append(result["submission_id"])
        return len(asked) == 1

    settings = {"deferrable": False, "result_uri": f"{tmp_path}/{{submission_id}}.json", "stands": stands}
    first = execute(operator(**settings))["submission_id"]
    assert asked == []
    assert execute(operator(**settings))["submission_id"] == first and asked == [first]
    again = execute(operator(**settings))
    assert again["submission_id"].endswith("-a2") and "reused" not in again


def test_other_runs_and_other_inputs_are_other_jobs_unless_they_share_a_key(fake: FakeJobsApi) -> None:
    for found, run_id in [
        (operator(), "1"),
        (operator(), "2"),
        (operator(input_digest="x"), "1"),
        (operator(runtime_env={"env_vars": {"A": "1"}}), "1"),
    ]:
        with pytest.raises(TaskDeferred):
            execute(found, run_id)
    assert len(fake.jobs) == 4
    for run_id in "12":
        with pytest.raises(TaskDeferred):
            execute(operator(job_key="batch-7"), run_id)
    assert len(fake.jobs) == 5


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"status": "FAILED", "exit_code": 1}, RayJobFailed),
        ({"status": "FAILED", "exit_code": 2}, RayJobBadInput),
        ({"status": "FAILED", "message": "Job entrypoint command failed with exit code 2, last ..."}, RayJobBadInput),
        ({"status": "FAILED", "message": "Job entrypoint command failed with exit code 23, last"}, RayJobFailed),
        ({"status": "FAILED", "error_type": "RUNTIME_ENV_SETUP_FAILURE"}, RayJobSetupError),
        ({"status": "FAILED", "error_type": "JOB_SUPERVISOR_ACTOR_DIED"}, RayJobFailed),
        ({"status": "STOPPED"}, RayJobStopped),
        ({"status": "LOST"}, RayJobLost),
        ({"status": "UNREACHABLE"}, RayUnavailable),
    ],
)
def test_each_end_has_its_exception_with_the_last_log_lines(event: dict[str, Any], kind: type[Exception]) -> None:
    whole = {"submission_id": "base-a1", "message": "words", "log_tail": "the last line"} | event
    with pytest.raises(kind, match=r"base-a1[\s\S]*the last line") as caught:
        operator().execute_complete(context()[0], whole)
    assert type(caught.value) is kind


def test_a_job_over_its_deadline_is_stopped_before_the_task_fails(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    with pytest.raises(RayJobTimeout):
        operator().execute_complete(context()[0], {"submission_id": "base-a1", "status": "TIMEOUT", "message": ""})
    assert fake.stopped == ["base-a1"]


def test_a_success_without_its_result_fails(fake: FakeJobsApi, tmp_path: Path) -> None:
    event = {"submission_id": "base-a1", "status": "SUCCEEDED"}
    assert operator().execute_complete(context()[0], event) == {"submission_id": "base-a1"}
    with pytest.raises(RayJobResultError, match="left no result"):
        operator(result_uri=f"{tmp_path}/none.json").execute_complete(context()[0], event)


def test_a_kill_while_waiting_in_the_worker_stops_the_job(fake: FakeJobsApi) -> None:
    """As the task runner does it: the handler of SIGTERM calls on_kill and returns into the interrupted code."""
    found = operator(deferrable=False, poll_seconds=0.1, deadline=timedelta(seconds=15))
    former = signal.signal(signal.SIGTERM, lambda *_: found.on_kill())
    timer = threading.Timer(0.5, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM))
    timer.start()
    try:
        with pytest.raises(RayJobStopped):
            execute(found)
        timer.join()
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, former)
    assert fake.stopped == list(fake.jobs)


def test_on_kill_before_any_submission_touches_nothing(fake: FakeJobsApi) -> None:
    operator().on_kill()
    assert not fake.calls


def test_force_must_render_to_a_truth_value(fake: FakeJobsApi) -> None:
    with pytest.raises(RayJobBadInput, match="force='perhaps'"):
        execute(operator(force="perhaps"))


def test_the_token_reaches_no_log(
    fake: FakeJobsApi, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    found = operator()
    with pytest.raises(TaskDeferred) as caught:
        execute(found)
    written = caplog.text + "".join(capsys.readouterr()) + repr(found) + repr(found.__dict__) + repr(caught.value)
    assert fake.jobs and TOKEN not in written


def test_a_dag_with_the_operator_survives_serialisation() -> None:
    with DAG("dag", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
        operator(result_uri="s3://b/{submission_id}.json", validate=lambda result: True, retries=2)
    stored = DagSerialization.to_dict(dag)
    task = DagSerialization.from_dict(json.loads(json.dumps(stored))).get_task("task")
    assert list(task.template_fields) == list(RayJobOperator.template_fields)
    assert task.has_retry_policy
    assert list(task.operator_extra_link_dict) == ["Ray job"]


HOSTILE = ("$(touch {0})", "`touch {0}`", "'; touch {0}; '", "a && touch {0}", "x\ntouch {0}", "-rf / *", "ü 日本")


def test_each_word_of_a_list_reaches_the_job_as_it_is(fake: FakeJobsApi, tmp_path: Path) -> None:
    """The command that the server gets is given to a real shell, as Ray does."""
    marker = tmp_path / "marker"
    words = [text.format(marker) for text in HOSTILE]
    with pytest.raises(TaskDeferred):
        execute(
            operator(entrypoint=[sys.executable, "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", *words])
        )
    (job,) = fake.jobs.values()
    done = subprocess.run(job.request["entrypoint"], shell=True, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == words and not marker.exists()


def test_a_list_and_the_same_words_in_a_string_are_one_job(fake: FakeJobsApi) -> None:
    for entrypoint in (["run", "--batch", "a b"], "run --batch 'a b'"):
        with pytest.raises(TaskDeferred):
            execute(operator(entrypoint=entrypoint))
    assert len(fake.jobs) == 1
