"""The trigger as a triggerer treats it: serialised, rebuilt, run beside others, cancelled."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult
from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.serialization.encoders import encode_trigger

from airflow_ray_jobs.trigger import RayJobTrigger
from tests.airflow_ray_jobs.fakes import TOKEN, FakeJob, FakeJobsApi, FakeTaskInstance


def trigger(**changes: Any) -> RayJobTrigger:
    arguments: dict[str, Any] = {
        "submission_id": "base-a1",
        "conn_id": "ray_default",
        "address": None,
        "namespace": None,
        "poll_seconds": 0.02,
        "deadline_seconds": None,
        "max_errors": 3,
        "log_lines_per_poll": 100,
    }
    return RayJobTrigger(**(arguments | changes))


async def event_of(found: RayJobTrigger) -> dict[str, Any]:
    async with asyncio.timeout(20):
        event = await anext(found.run())
    return cast(dict[str, Any], event.payload)


async def after(seconds: float, fake: FakeJobsApi, status: str) -> None:
    await asyncio.sleep(seconds)
    fake.jobs["base-a1"].status = status


def test_every_argument_survives_the_database_and_the_token_never_gets_there(fake: FakeJobsApi) -> None:
    before = trigger(address="http://head:8265", namespace="ray", deadline_seconds=1.5e9, poll_seconds=7.0)
    class_path, arguments = before.serialize()
    decode: Callable[[Any], Any] = smart_decode_trigger_kwargs
    stored = encode_trigger({"classpath": class_path, "kwargs": arguments})
    assert TOKEN not in json.dumps(stored) and TOKEN not in repr(before)
    rebuilt = RayJobTrigger(**{k: decode(v) for k, v in stored["kwargs"].items()})
    assert class_path == "airflow_ray_jobs.trigger.RayJobTrigger"
    assert rebuilt.serialize() == before.serialize()
    assert rebuilt.settings == before.settings


def test_a_job_that_ended_at_once_is_told_of_only_when_airflow_has_noticed_the_deferral(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("SUCCEEDED")
    started = time.monotonic()
    assert asyncio.run(event_of(trigger(least_seconds=0.5)))["status"] == "SUCCEEDED"
    assert time.monotonic() - started >= 0.5
    assert trigger(least_seconds=0.5).serialize()[1]["least_seconds"] == 0.5


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "STOPPED"])
def test_the_event_tells_how_the_job_ended(fake: FakeJobsApi, status: str) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING", message="words", error_type="E", exit_code=3, logs="one\ntwo\n")

    async def work() -> dict[str, Any]:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(event_of(trigger()))
            group.create_task(after(0.1, fake, status))
        return waiting.result()

    event = asyncio.run(work())
    assert event == {
        "submission_id": "base-a1", "status": status, "message": "words", "error_type": "E", "exit_code": 3,
        "log_tail": "one\ntwo",
    }  # fmt: skip
    assert json.loads(json.dumps(event)) == event


def test_a_head_that_restarts_is_waited_for(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("SUCCEEDED")
    fake.failing_answers = 2
    assert asyncio.run(event_of(trigger(max_errors=3)))["status"] == "SUCCEEDED"


def test_a_head_that_stays_away_is_unreachable_not_failed(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    fake.failing_answers = 1000
    event = asyncio.run(event_of(trigger(max_errors=3)))
    assert event["status"] == "UNREACHABLE" and "503" in event["message"]
    assert len(fake.calls) == 3 and not fake.stopped


def test_errors_count_only_in_a_row(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")

    async def work() -> dict[str, Any]:
        waiting = asyncio.create_task(event_of(trigger(max_errors=3)))
        for _ in range(3):
            fake.failing_answers = 2
            async with asyncio.timeout(10):
                while fake.failing_answers:
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.06)
        fake.jobs["base-a1"].status = "SUCCEEDED"
        return await waiting

    assert asyncio.run(work())["status"] == "SUCCEEDED"


def test_a_head_that_forgot_the_job_has_lost_it(fake: FakeJobsApi) -> None:
    assert asyncio.run(event_of(trigger()))["status"] == "LOST"


def test_the_deadline_is_absolute_and_the_job_is_left_to_the_operator(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    began = time.monotonic()
    event = asyncio.run(event_of(trigger(deadline_seconds=time.time() + 0.3, poll_seconds=60.0)))
    assert event["status"] == "TIMEOUT"
    assert 0.2 < time.monotonic() - began < 5
    assert not fake.stopped
    assert asyncio.run(event_of(trigger(deadline_seconds=time.time() - 9)))["status"] == "TIMEOUT"


def test_a_job_that_ended_before_the_deadline_was_noticed_still_counts(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("SUCCEEDED")
    assert asyncio.run(event_of(trigger(deadline_seconds=time.time() - 9)))["status"] == "SUCCEEDED"


def test_a_rotated_token_is_read_again(fake: FakeJobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.jobs["base-a1"] = FakeJob("SUCCEEDED")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "old")

    async def rotate() -> None:
        await asyncio.sleep(0.05)
        monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)

    async def work() -> dict[str, Any]:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(event_of(trigger(address=fake.url, max_errors=100)))
            group.create_task(rotate())
        return waiting.result()

    assert asyncio.run(work())["status"] == "SUCCEEDED"


def test_a_slow_server_does_not_hold_the_event_loop(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING", logs="line\n" * 10_000)
    fake.delay_seconds = 0.5

    async def work() -> float:
        waiting = asyncio.gather(*(event_of(trigger()) for _ in range(20)), after(1.5, fake, "SUCCEEDED"))
        await asyncio.sleep(0.2)  # imports and the first connection are not what is measured
        worst = 0.0
        while not waiting.done():
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            worst = max(worst, time.perf_counter() - began - 0.01)
        await waiting
        return worst

    assert asyncio.run(work()) < 0.3


def test_new_log_lines_are_copied_once_and_capped(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING", logs="a\nb\nhalf")
    seen: list[str] = []

    async def work() -> None:
        found = trigger(log_lines_per_poll=2)
        found.log.info = seen.append  # type: ignore[method-assign,assignment]
        waiting = asyncio.create_task(event_of(found))
        await asyncio.sleep(0.15)
        fake.jobs["base-a1"].logs += " done\n" + "".join(f"{n}\n" for n in range(10))
        await asyncio.sleep(0.3)
        fake.jobs["base-a1"].logs += "last without newline"
        fake.jobs["base-a1"].status = "SUCCEEDED"
        await waiting

    asyncio.run(work())
    assert seen == ["a", "b", "... 9 lines skipped ...", "8", "9", "last without newline"]


class Supervisor:
    """The other end of the triggerer's pipe: answers one question."""

    def __init__(self, states: dict[str, Any]) -> None:
        self.states = states
        self.asked: list[GetTaskStates] = []

    def send(self, message: GetTaskStates) -> TaskStatesResult:
        self.asked.append(message)
        return TaskStatesResult(task_states=self.states)


def kill(monkeypatch: pytest.MonkeyPatch, states: dict[str, Any], map_index: int = -1) -> Supervisor:
    supervisor = Supervisor(states)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    found = trigger()
    found.task_instance = FakeTaskInstance("run", map_index)  # type: ignore[assignment]
    asyncio.run(found.on_kill())
    return supervisor


@pytest.mark.parametrize("state", ["failed", "success", None])
def test_a_person_who_ends_the_task_stops_the_job(
    fake: FakeJobsApi, monkeypatch: pytest.MonkeyPatch, state: str | None
) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    supervisor = kill(monkeypatch, {"run": {"task": state}})
    assert fake.stopped == ["base-a1"]
    assert supervisor.asked[0].run_ids == ["run"] and supervisor.asked[0].map_index is None


def test_a_trigger_that_only_moves_leaves_the_job_alone(fake: FakeJobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    kill(monkeypatch, {"run": {"task": "deferred"}})
    assert not fake.stopped
    kill(monkeypatch, {"run": {"task_4": "deferred", "task_5": "failed"}}, map_index=4)
    assert not fake.stopped
    kill(monkeypatch, {"run": {"task_4": "deferred", "task_5": "failed"}}, map_index=5)
    assert fake.stopped == ["base-a1"]


def test_without_an_answer_about_the_task_the_job_lives(fake: FakeJobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", None, raising=False)
    found = trigger()
    found.task_instance = FakeTaskInstance("run")  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        asyncio.run(found.on_kill())
    assert not fake.stopped


def test_cleanup_and_cancellation_touch_nothing(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")

    async def work() -> None:
        found = trigger()
        waiting = asyncio.create_task(event_of(found))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await found.cleanup()

    asyncio.run(work())
    assert not fake.stopped and fake.jobs["base-a1"].status == "RUNNING"


def test_an_unreachable_head_does_not_break_on_kill(fake: FakeJobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.failing_answers = 10
    kill(monkeypatch, {"run": {"task": "failed"}})
    assert not fake.stopped
