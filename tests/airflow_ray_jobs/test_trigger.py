"""The trigger as a triggerer treats it: serialised, rebuilt, run with others, cancelled."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from airflow.jobs.triggerer_job_runner import _USER_ACTION_CANCEL_MSG, TriggerRunner
from airflow.sdk.execution_time import task_runner
from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.serialization.encoders import encode_trigger

from airflow_ray_jobs.ray_job import RayJobOperator
from airflow_ray_jobs.release import sweep
from airflow_ray_jobs.trigger import RayHeadTrigger, RayJobTrigger
from airflow_ray_jobs.watch import WatchSettings
from airflow_ray_jobs.watchers import Watchers
from tests.airflow_ray_jobs.fakes import TOKEN, FakeJob, FakeJobsApi, FakeSupervisor, FakeTaskInstance
from tests.airflow_ray_jobs.test_attempts import me


def trigger(**changes: Any) -> RayJobTrigger:
    arguments: dict[str, Any] = {
        "submission_id": "base-a1",
        "conn_id": "ray_default",
        "address": None,
        "namespace": None,
        "poll_seconds": 0.02,
        "deadline_seconds": None,
        "clears": 2,
        "patience_seconds": 0.2,
        "lost_seconds": 0.1,
        "log_lines_per_poll": 100,
    }
    return RayJobTrigger(**(arguments | changes))


async def event_of(found: RayJobTrigger | RayHeadTrigger) -> dict[str, Any]:
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
    fake.failing_answers = 5
    assert asyncio.run(event_of(trigger(patience_seconds=10.0)))["status"] == "SUCCEEDED"


def test_a_head_that_is_away_for_ten_minutes_is_survived_by_default() -> None:
    assert RayJobOperator(task_id="task", entrypoint="x").patience >= timedelta(minutes=10) * 2
    assert WatchSettings().patience_seconds == 1800


def test_a_head_that_stays_away_is_unreachable_not_failed(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    fake.failing_answers = 1000
    began = time.monotonic()
    event = asyncio.run(event_of(trigger(patience_seconds=0.3)))
    assert event["status"] == "UNREACHABLE" and "503" in event["message"]
    assert time.monotonic() - began >= 0.3 and not fake.stopped


def test_only_time_without_any_answer_counts(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")

    async def work() -> dict[str, Any]:
        waiting = asyncio.create_task(event_of(trigger(patience_seconds=0.5)))
        for _ in range(3):
            fake.failing_answers = 8
            async with asyncio.timeout(10):
                while fake.failing_answers:
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.06)
        fake.jobs["base-a1"].status = "SUCCEEDED"
        return await waiting

    assert asyncio.run(work())["status"] == "SUCCEEDED"


ODD = [
    "<html>proxy</html>",
    "null",
    "[]",
    "{}",
    {"status": None},
    {"status": "BORED"},
    {"status": "RUNNING", "start_time": "x"},
]


def test_an_odd_answer_costs_nothing(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("SUCCEEDED", exit_code=0)
    fake.odd_answers = list(ODD)
    assert asyncio.run(event_of(trigger(patience_seconds=20.0)))["status"] == "SUCCEEDED"
    assert fake.odd_answers == []


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
            waiting = group.create_task(event_of(trigger(address=fake.url, patience_seconds=10.0)))
            group.create_task(rotate())
        return waiting.result()

    assert asyncio.run(work())["status"] == "SUCCEEDED"


def test_a_slow_server_does_not_hold_the_event_loop(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING", logs="line\n" * 10_000)
    fake.delay_seconds = 1.0

    async def work() -> float:
        waiting = asyncio.gather(*(event_of(trigger()) for _ in range(20)), after(2.5, fake, "SUCCEEDED"))
        await asyncio.sleep(0.2)  # imports and the first connection are not what is measured
        worst = 0.0
        while not waiting.done():
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            worst = max(worst, time.perf_counter() - began - 0.01)
        await waiting
        return worst

    assert asyncio.run(work()) < 0.9, "a single request that blocked would take a second, those of one round twenty"


def test_new_log_lines_are_copied_once_and_capped(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING", logs="a\nb\nhalf")
    seen: list[str] = []

    async def work() -> None:
        found = trigger(log_lines_per_poll=2)
        found.log.info = seen.append  # type: ignore[method-assign,assignment]
        waiting = asyncio.create_task(event_of(found))
        async with asyncio.timeout(20):
            while len(seen) < 2:
                await asyncio.sleep(0.01)
            fake.jobs["base-a1"].logs += " done\n" + "".join(f"{n}\n" for n in range(10))
            while len(seen) < 5:
                await asyncio.sleep(0.01)
        fake.jobs["base-a1"].logs += "last without newline"
        fake.jobs["base-a1"].status = "SUCCEEDED"
        await waiting

    asyncio.run(work())
    assert seen == ["a", "b", "... 9 lines skipped ...", "8", "9", "last without newline"]


def kill(supervisor: FakeSupervisor, states: dict[int, str | None], map_index: int = -1) -> None:
    for index, state in states.items():
        supervisor.set_state(FakeTaskInstance("run", index), state)
    found = trigger()
    found.task_instance = FakeTaskInstance("run", map_index)  # type: ignore[assignment]
    asyncio.run(found.on_kill())


@pytest.mark.parametrize("state", ["failed", "success", None])
def test_a_person_who_ends_the_task_stops_the_job(
    fake: FakeJobsApi, supervisor: FakeSupervisor, state: str | None
) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    kill(supervisor, {-1: state})
    assert fake.stopped == ["base-a1"]


def test_a_trigger_that_only_moves_leaves_the_job_alone(fake: FakeJobsApi, supervisor: FakeSupervisor) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    kill(supervisor, {-1: "deferred"})
    assert not fake.stopped
    kill(supervisor, {4: "deferred", 5: "failed"}, map_index=4)
    assert not fake.stopped
    kill(supervisor, {4: "deferred", 5: "failed"}, map_index=5)
    assert fake.stopped == ["base-a1"]


def test_without_an_answer_about_the_task_the_job_lives(fake: FakeJobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", None, raising=False)
    found = trigger()
    found.task_instance = FakeTaskInstance("run")  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        asyncio.run(found.on_kill())
    assert not fake.stopped


def test_the_stop_survives_airflow_cancelling_it_at_every_sync(
    fake: FakeJobsApi, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's own runner of triggers; 3.3.2 cancels one that shall end again and again, about once a second."""
    monkeypatch.setattr("airflow_ray_jobs.trigger._STOP_PAUSE_SECONDS", 0.05)
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    supervisor.set_state(FakeTaskInstance("run"), "deferred")
    found = trigger()
    found.task_instance = FakeTaskInstance("run")  # type: ignore[assignment]

    async def work() -> None:
        runner = TriggerRunner()  # type: ignore[no-untyped-call]  # as all of Airflow
        runner.triggers[7] = cast(Any, {"name": "it", "events": 0})
        task = asyncio.create_task(runner.run_trigger(7, found))
        await asyncio.sleep(0.2)
        supervisor.set_state(FakeTaskInstance("run"), "failed")
        fake.delay_seconds = 0.5  # a slow head: each of the requests takes longer than the time between two syncs
        fake.failing_answers = 2  # a request that was sent would have its effect, whoever has cancelled it since
        while not task.done():
            task.cancel(_USER_ACTION_CANCEL_MSG)
            await asyncio.sleep(0.05)
        async with asyncio.timeout(10):
            while not fake.stopped:
                await asyncio.sleep(0.05)

    asyncio.run(work())
    assert fake.stopped == ["base-a1"] and [*Watchers().of("base-a1")[1].values()] == [me()]


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


def test_a_head_that_is_away_is_asked_again_to_stop_the_job(
    fake: FakeJobsApi, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_ray_jobs.trigger._STOP_PAUSE_SECONDS", 0.01)
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    fake.failing_answers = 5
    kill(supervisor, {-1: "failed"})
    assert fake.stopped == ["base-a1"]


def test_a_head_that_stays_away_is_left_to_the_sweep(
    fake: FakeJobsApi, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_ray_jobs.trigger._STOP_PATIENCE_SECONDS", 0.0)
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    fake.failing_answers = 1
    kill(supervisor, {-1: "failed"})
    assert not fake.stopped
    assert asyncio.run(sweep(Watchers())) == ["base-a1"] and fake.stopped == ["base-a1"]


def test_a_trigger_that_starts_sweeps_but_not_each_time(
    fake: FakeJobsApi, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_ray_jobs.trigger._last_sweep", float("-inf"))
    fake.jobs = {"base-a1": FakeJob("RUNNING"), "left-a1": FakeJob("RUNNING"), "left-a2": FakeJob("RUNNING")}
    supervisor.set_state(FakeTaskInstance("gone"), "failed")
    Watchers().add("left-a1", me("gone"))

    async def work() -> None:
        waiting = asyncio.create_task(event_of(trigger()))
        async with asyncio.timeout(10):
            while not fake.stopped:
                await asyncio.sleep(0.02)
        Watchers().add("left-a2", me("gone"))
        fake.jobs["base-a1"].status = "SUCCEEDED"
        await waiting
        await event_of(trigger())

    asyncio.run(work())
    assert fake.stopped == ["left-a1"]


@pytest.mark.parametrize("failing", [0, 4])
def test_the_wait_for_ray_ends_when_it_answers(fake: FakeJobsApi, failing: int) -> None:
    fake.failing_answers = failing
    found = head_trigger(until_seconds=time.time() + 20)
    assert asyncio.run(event_of(found))["answered"] is True
    class_path, arguments = found.serialize()
    assert class_path == "airflow_ray_jobs.trigger.RayHeadTrigger"
    assert RayHeadTrigger(**arguments).serialize() == found.serialize()


def test_the_wait_for_ray_has_an_end(fake: FakeJobsApi) -> None:
    fake.failing_answers = 1000
    event = asyncio.run(event_of(head_trigger(until_seconds=time.time() + 0.3)))
    assert event["answered"] is False and "503" in event["message"]


def head_trigger(*, until_seconds: float) -> RayHeadTrigger:
    return RayHeadTrigger(
        conn_id="ray_default", address=None, namespace=None, until_seconds=until_seconds, pause_seconds=0.02
    )
