"""The operator in a worker: submission, deferral, result, failure, cancellation."""

from __future__ import annotations

import asyncio
import json
import shlex
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
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
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
from tests.airflow_ray_jobs.fakes import TOKEN, FakeJob, FakeJobsApi, FakeSupervisor, FakeTaskInstance


def operator(**kwargs: Any) -> RayJobOperator:
    settings: dict[str, Any] = {
        "entrypoint": "run me", "poll_seconds": 0.05, "defer_after": timedelta(0), "patience": timedelta(0)
    } | kwargs  # fmt: skip
    return RayJobOperator(task_id="task", **settings)


def context(run_id: str = "run", *, max_tries: int = 2) -> tuple[Context, FakeTaskInstance]:
    ti = FakeTaskInstance(run_id, max_tries=max_tries)
    return cast(Context, {"ti": ti}), ti


def execute(found: RayJobOperator, run_id: str = "run", *, max_tries: int = 2) -> Any:
    return found.execute(context(run_id, max_tries=max_tries)[0])


def deferred(found: RayJobOperator, run_id: str = "run", *, max_tries: int = 2) -> Any:
    """The trigger that it waits with."""
    with pytest.raises(TaskDeferred) as caught:
        execute(found, run_id, max_tries=max_tries)
    return caught.value


def variables_of(job: FakeJob) -> dict[str, str]:
    """What its driver finds in its environment."""
    words = shlex.split(job.request["entrypoint"].replace(";", " ;"))
    return dict(word.split("=", 1) for word in words[1 : words.index(";")])


@pytest.fixture
def finishing(fake: FakeJobsApi) -> Iterator[FakeJobsApi]:
    """A cluster whose jobs write their result at once and succeed."""
    ended = threading.Event()

    def finish() -> None:
        while not ended.wait(0.02):
            for submission_id, job in list(fake.jobs.items()):
                if job.status == "RUNNING" and job.request:
                    uri = variables_of(job).get("RAY_JOB_RESULT_URI")
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
    assert job.request["runtime_env"] == {"env_vars": {"A": "1"}}
    assert variables_of(job) == {"RAY_JOB_SUBMISSION_ID": submission_id}
    assert job.request["metadata"] == {"dag_id": "dag", "run_id": "run", "task_id": "task", "map_index": "-1"}


def test_jobs_have_no_runtime_environment_of_their_own(fake: FakeJobsApi) -> None:
    """Ray gives the processes that it keeps warm to those without one."""
    deferred(operator(result_uri="s3://b/{submission_id}.json"))
    [(submission_id, job)] = fake.jobs.items()
    assert job.request["runtime_env"] == {}
    assert variables_of(job) == {
        "RAY_JOB_SUBMISSION_ID": submission_id, "RAY_JOB_RESULT_URI": f"s3://b/{submission_id}.json"
    }  # fmt: skip


def test_without_a_deadline_nothing_times_out(fake: FakeJobsApi) -> None:
    with pytest.raises(TaskDeferred) as caught:
        execute(operator())
    assert caught.value.timeout is None and caught.value.trigger.settings.deadline_seconds is None


def test_the_deadline_counts_from_the_acceptance_of_a_job_attached_to(fake: FakeJobsApi) -> None:
    began = int(time.time()) - 600
    submission_id = deferred(operator()).trigger.submission_id
    fake.jobs[submission_id].start_time = began * 1000
    found = deferred(operator(deadline=timedelta(hours=1)))
    assert len(fake.jobs) == 1
    assert found.trigger.settings.deadline_seconds == began + 3600


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

    settings = {"deferrable": False, "result_uri": f"{tmp_path}/{{submission_id}}.json", "is_up_to_date": stands}
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
        operator().execute_complete(context()[0], whole, submitted_anew=9)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "told", [{"exit_code": 3}, {"message": "Job entrypoint command failed with exit code 3, last available logs"}]
)
def test_a_job_that_says_there_is_nothing_to_do_skips_its_task(fake: FakeJobsApi, told: dict[str, Any]) -> None:
    event = {"submission_id": "base-a1", "status": "FAILED", "log_tail": "error: no videos that day"} | told
    with pytest.raises(AirflowSkipException, match="no videos that day"):
        operator(skip_on_exit_code=3).execute_complete(context()[0], event)
    with pytest.raises(RayJobFailed):
        operator().execute_complete(context()[0], event)


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


def test_a_kill_while_the_job_is_submitted_leaves_none(fake: FakeJobsApi, supervisor: FakeSupervisor) -> None:
    """The head is slow: the request is under way when the task is killed, and lands afterwards."""
    fake.delay_seconds = 0.6
    found = operator()
    former = signal.signal(signal.SIGTERM, lambda *_: found.on_kill())
    timer = threading.Timer(0.9, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM))
    timer.start()
    try:
        with pytest.raises(RayJobStopped):
            execute(found)
        timer.join()
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, former)
    assert [job.status for job in fake.jobs.values()] in ([], ["STOPPED"])
    assert not [key for key in supervisor.variables if ".stop-" not in key]


def test_a_killed_task_starts_no_job(fake: FakeJobsApi) -> None:
    found = operator()
    found._killed = True
    with pytest.raises(RayJobStopped, match="before Ray job"):
        execute(found)
    assert not fake.jobs


def test_a_cleared_task_stops_its_job_and_starts_a_new_one(fake: FakeJobsApi, supervisor: FakeSupervisor) -> None:
    """Clear raises `max_tries`; a retry does not."""
    supervisor.set_state(FakeTaskInstance("run"), "running")
    deferred(operator())
    assert deferred(operator()).trigger.submission_id.endswith("-a1")  # a retry watches the job that is there
    assert not fake.stopped
    (first,) = fake.jobs
    trigger = deferred(operator(), max_tries=4).trigger
    assert fake.stopped == [first] and trigger.submission_id.endswith("-a2") and trigger.clears == 4
    assert deferred(operator(), max_tries=4).trigger.submission_id.endswith("-a2")


def test_a_job_that_another_run_watches_outlives_a_clear(fake: FakeJobsApi, supervisor: FakeSupervisor) -> None:
    for run in ("1", "2"):
        supervisor.set_state(FakeTaskInstance(run), "deferred")
        deferred(operator(job_key="shared"), run)
    assert deferred(operator(job_key="shared"), "1", max_tries=4).trigger.submission_id.endswith("-a1")
    assert not fake.stopped and len(fake.jobs) == 1
    # Its own clear and that of the other: now nobody follows the old one any more.
    assert deferred(operator(job_key="shared"), "2", max_tries=4).trigger.submission_id.endswith("-a1")
    supervisor.set_state(FakeTaskInstance("1"), "failed")
    assert deferred(operator(job_key="shared"), "2", max_tries=6).trigger.submission_id.endswith("-a2")


def test_after_a_head_that_stayed_away_a_retry_watches_the_job_and_a_clear_starts_a_new_one(
    fake: FakeJobsApi, supervisor: FakeSupervisor
) -> None:
    supervisor.set_state(FakeTaskInstance("run"), "running")
    first = deferred(operator()).trigger.submission_id
    away = {"submission_id": first, "status": "UNREACHABLE", "message": "no answer"}
    for _ in range(2):
        with pytest.raises(RayUnavailable):
            operator().execute_complete(context()[0], away)
        assert deferred(operator()).trigger.submission_id == first and not fake.stopped
    assert deferred(operator(), max_tries=4).trigger.submission_id.endswith("-a2") and fake.stopped == [first]


@pytest.mark.parametrize("late", [False, True])
def test_the_old_trigger_of_a_cleared_task_stops_nothing_of_the_new_try(
    fake: FakeJobsApi, supervisor: FakeSupervisor, late: bool
) -> None:
    ti = FakeTaskInstance("run")
    supervisor.set_state(ti, "running")
    old = deferred(operator()).trigger
    old.task_instance = ti
    supervisor.set_state(ti, None)  # cleared
    if not late:
        asyncio.run(old.on_kill())
    supervisor.set_state(ti, "running")
    new = deferred(operator(), max_tries=4).trigger
    if late:
        asyncio.run(old.on_kill())
    assert fake.stopped[0] == old.submission_id != new.submission_id
    assert fake.jobs[new.submission_id].status == "RUNNING"


def test_a_head_that_is_away_costs_no_try(fake: FakeJobsApi) -> None:
    fake.failing_answers = 1
    waiting = deferred(operator(patience=timedelta(minutes=30)))
    assert waiting.method_name == "ray_answered" and not fake.jobs
    assert waiting.trigger.until_seconds == pytest.approx(time.time() + 1800, abs=10)
    with pytest.raises(TaskDeferred) as caught:
        operator().ray_answered(context()[0], {"answered": True}, **waiting.kwargs)
    assert isinstance(caught.value.trigger, RayJobTrigger) and len(fake.jobs) == 1


def test_a_head_that_stays_away_costs_one(fake: FakeJobsApi) -> None:
    event = {"answered": False, "message": "503 from the proxy"}
    with pytest.raises(RayUnavailable, match="503 from the proxy"):
        operator().ray_answered(context()[0], event, head_until=time.time(), submitted_anew=0)


def test_the_wait_for_a_head_is_not_begun_anew_each_time_that_it_answers(fake: FakeJobsApi) -> None:
    fake.failing_answers = 1
    with pytest.raises(RayUnavailable):
        operator(patience=timedelta(hours=1)).ray_answered(
            context()[0], {"answered": True}, head_until=time.time() - 1, submitted_anew=0
        )


def test_without_a_triggerer_the_worker_waits_for_the_head(finishing: FakeJobsApi, tmp_path: Path) -> None:
    finishing.failing_answers = 3
    settings = {"deferrable": False, "patience": timedelta(seconds=30), "result_uri": f"{tmp_path}/{{submission_id}}"}
    assert execute(operator(**settings))["rows"] == 7


def test_a_wrong_token_is_told_at_once(fake: FakeJobsApi) -> None:
    fake.token = "another"
    with pytest.raises(RayUnavailable, match="403"):
        execute(operator(patience=timedelta(hours=1)))


def test_an_odd_answer_at_the_submission_costs_no_try(finishing: FakeJobsApi, tmp_path: Path) -> None:
    finishing.odd_answers = ["<html>", {"status": "BORED"}, "null"]
    settings = {"deferrable": False, "patience": timedelta(seconds=30), "result_uri": f"{tmp_path}/{{submission_id}}"}
    assert execute(operator(**settings))["rows"] == 7


def test_a_job_that_the_head_forgot_is_submitted_again_in_the_same_try(fake: FakeJobsApi) -> None:
    lost = {"submission_id": deferred(operator()).trigger.submission_id, "status": "LOST", "message": "gone"}
    for anew in range(3):
        fake.jobs.clear()
        with pytest.raises(TaskDeferred) as caught:
            operator().execute_complete(context()[0], lost, submitted_anew=anew)
        assert caught.value.kwargs == {"submitted_anew": anew + 1} and len(fake.jobs) == 1
    with pytest.raises(RayJobLost):
        operator().execute_complete(context()[0], lost, submitted_anew=3)


def test_a_short_job_ends_without_the_triggerer(finishing: FakeJobsApi, tmp_path: Path) -> None:
    settings = {"result_uri": f"{tmp_path}/{{submission_id}}.json", "defer_after": timedelta(seconds=20)}
    assert execute(operator(**settings))["rows"] == 7


def test_the_triggerer_goes_on_in_the_log_where_the_worker_left_it(
    fake: FakeJobsApi, caplog: pytest.LogCaptureFixture
) -> None:
    found = deferred(operator())
    fake.jobs[found.trigger.submission_id].logs = "told by the worker\n"
    again = deferred(operator())
    assert again.trigger.log_offset == len("told by the worker\n")


def test_who_followed_a_job_that_ended_is_forgotten(
    finishing: FakeJobsApi, supervisor: FakeSupervisor, tmp_path: Path
) -> None:
    execute(operator(deferrable=False, result_uri=f"{tmp_path}/{{submission_id}}.json"))
    assert supervisor.variables == {}


def test_a_missing_connection_is_told_with_its_cure(fake: FakeJobsApi) -> None:
    with pytest.raises(RayJobBadInput, match=r"no connection 'nowhere'.*airflow connections add nowhere"):
        execute(operator(conn_id="nowhere"))


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
