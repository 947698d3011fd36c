"""Who may stop a job: the last task instance that follows it, at every moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import pytest
from airflow.sdk.execution_time import task_runner
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ray_jobs.attempts import Attempt, Claim
from airflow_ray_jobs.backend import JobSpec, JobState, JobStatus
from airflow_ray_jobs.endpoint import Endpoint
from airflow_ray_jobs.jobs_api import JobsApi
from airflow_ray_jobs.release import has_ended, release, sweep
from airflow_ray_jobs.watchers import Watcher, Watchers
from tests.airflow_ray_jobs.fakes import TOKEN, FakeJob, FakeJobsApi, FakeSupervisor, FakeTaskInstance
from tests.airflow_ray_jobs.test_attempts import me


@asynccontextmanager
async def head(fake: FakeJobsApi) -> AsyncIterator[JobsApi]:
    async with JobsApi(Endpoint(url=fake.url, token=TOKEN)) as backend:
        yield backend


def follow(supervisor: FakeSupervisor, *runs: str, submission_id: str = "base-a1") -> None:
    for run in runs:
        supervisor.set_state(FakeTaskInstance(run), "deferred")
        Watchers().add(submission_id, me(run))


def let_go(fake: FakeJobsApi, run: str) -> bool:
    async def work() -> bool:
        async with head(fake) as backend:
            return await release(backend, Watchers(), "base-a1", me(run), leaving=[me(run)])

    return asyncio.run(work())


def test_cancelling_one_of_two_leaves_the_job_to_the_other(fake: FakeJobsApi, supervisor: FakeSupervisor) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    follow(supervisor, "one", "two")
    assert not let_go(fake, "one") and not fake.stopped
    assert let_go(fake, "two") and fake.stopped == ["base-a1"]


def test_a_follower_whose_task_has_ended_keeps_no_job_alive(fake: FakeJobsApi, supervisor: FakeSupervisor) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    follow(supervisor, "one", "two")
    supervisor.set_state(FakeTaskInstance("two"), "failed")
    assert let_go(fake, "one") and fake.stopped == ["base-a1"]


@pytest.mark.parametrize("state", ["running", "deferred", "queued", "scheduled", "up_for_retry", "restarting", None])
def test_the_sweep_leaves_what_a_task_wants(fake: FakeJobsApi, supervisor: FakeSupervisor, state: str | None) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    follow(supervisor, "one")
    supervisor.set_state(FakeTaskInstance("one"), state)
    assert asyncio.run(sweep(Watchers())) == [] and not fake.stopped
    assert Watchers().of("base-a1")[0] == [me("one")]


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "removed", "upstream_failed", "its run is gone"])
def test_the_sweep_stops_what_nobody_wants_and_then_forgets_it(
    fake: FakeJobsApi, supervisor: FakeSupervisor, state: str
) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    follow(supervisor, "one")
    supervisor.set_state(FakeTaskInstance("one"), state)
    if state == "its run is gone":
        supervisor.states.clear()
    assert asyncio.run(sweep(Watchers())) == ["base-a1"] and fake.stopped == ["base-a1"]
    assert asyncio.run(sweep(Watchers())) == [] and supervisor.variables == {}


def test_the_sweep_leaves_jobs_of_others_alone(fake: FakeJobsApi) -> None:
    fake.jobs["somebody-elses"] = FakeJob("RUNNING")
    assert asyncio.run(sweep(Watchers())) == [] and not fake.stopped


def test_a_head_that_is_away_is_left_to_the_next_sweep(fake: FakeJobsApi, supervisor: FakeSupervisor) -> None:
    fake.jobs = {"base-a1": FakeJob("RUNNING"), "base-b1": FakeJob("RUNNING")}
    follow(supervisor, "one")
    follow(supervisor, "two", submission_id="base-b1")
    for run in ("one", "two"):
        supervisor.set_state(FakeTaskInstance(run), "failed")
    fake.failing_answers = 1
    assert asyncio.run(sweep(Watchers())) == ["base-b1"]
    assert asyncio.run(sweep(Watchers())) == ["base-a1"]


def test_the_end_of_a_stopped_job_is_waited_for(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("RUNNING")

    async def work() -> list[bool]:
        async with head(fake) as backend:
            still = await has_ended(backend, "base-a1", seconds=0.0)
            fake.jobs["base-a1"].status = "STOPPED"
            return [still, await has_ended(backend, "base-a1", seconds=0.0), await has_ended(backend, "x", seconds=0.0)]

    assert asyncio.run(work()) == [False, True, True]


class Turns:
    """Every step of every actor waits for its turn; a list of numbers says whose it is."""

    def __init__(self, choices: list[int]) -> None:
        self._choices = choices
        self._waiting: list[asyncio.Future[None]] = []
        self.idle = 0

    async def turn(self) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    async def to_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        await self.turn()
        return function(*arguments)

    def _idle(self) -> int:
        """How often in a row nobody asked for a turn."""
        self.idle = 0 if self._waiting else self.idle + 1
        return self.idle

    async def play(self, *actors: asyncio.Task[Any]) -> None:
        number = 0
        while not all(actor.done() for actor in actors):
            for _ in range(5):
                await asyncio.sleep(0)
            if self._waiting:
                choice = self._choices[number] if number < len(self._choices) else 0  # in the end each has its turn
                self._waiting.pop(choice % len(self._waiting)).set_result(None)
                number += 1
            assert number < 5_000 and self._idle() < 50, "the actors wait for each other without end"


class Cluster:
    """Jobs in memory; a job that is stopped ends at once."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.jobs: dict[str, JobStatus] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def state(self, submission_id: str) -> JobState | None:
        await self.turns.turn()
        return JobState(status=self.jobs[submission_id]) if submission_id in self.jobs else None

    async def submit(self, submission_id: str, spec: JobSpec) -> None:
        from airflow_ray_jobs.errors import SubmissionExists

        await self.turns.turn()
        if submission_id in self.jobs:
            raise SubmissionExists(submission_id)
        self.jobs[submission_id] = JobStatus.RUNNING

    async def stop(self, submission_id: str) -> None:
        await self.turns.turn()
        self.jobs[submission_id] = JobStatus.STOPPED

    async def logs(self, submission_id: str) -> str:
        return ""

    def link(self, submission_id: str) -> str:
        return submission_id


class Hook:
    """Leads the sweep to that cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def abackend(self) -> Cluster:
        return self._cluster


ACTIONS = ("claim", "claim", "leave", "clear", "sweep")


@given(
    plans=st.lists(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=3), min_size=2, max_size=4),
    choices=st.lists(st.integers(0, 7), max_size=60),
)
@settings(max_examples=200)
def test_in_any_interleaving_a_followed_job_lives_and_a_left_one_ends(
    plans: list[list[str]], choices: list[int]
) -> None:
    """Several runs share one job. Each claims it, leaves it (marked failed), or is cleared (and claims again)."""
    supervisor, turns = FakeSupervisor(), Turns(choices)
    cluster = Cluster(turns)
    following: dict[str, str] = {}

    async def claim(run: str, clears: int) -> Attempt:
        return await Claim(
            backend=cluster, watchers=Watchers(), me=me(run, clears=clears), base="base",
            make_spec=lambda _: JobSpec(entrypoint="x"), reusable=lambda _: None,
        ).make()  # fmt: skip

    async def actor(run: str, plan: list[str]) -> None:
        clears = 2
        ti = FakeTaskInstance(run)
        for action in plan:
            if action == "claim" and run not in following:
                supervisor.set_state(ti, "running")
                following[run] = (await claim(run, clears)).submission_id
            elif action == "leave" and run in following:
                held = following.pop(run)
                supervisor.set_state(ti, "failed")
                mine = me(run, clears=clears)
                await release(cluster, Watchers(), held, mine, leaving=[mine])
            elif action == "clear" and run in following:
                del following[run]  # its old trigger was lost, say: only the next try is there to act
                clears += 3
                supervisor.set_state(ti, "running")
                following[run] = (await claim(run, clears)).submission_id
            elif action == "sweep":
                await sweep(Watchers())

    async def work() -> None:
        actors = [asyncio.create_task(actor(f"run{number}", plan)) for number, plan in enumerate(plans)]
        await turns.play(*actors)
        for one in actors:
            one.result()
        live = [name for name, status in cluster.jobs.items() if status is JobStatus.RUNNING]
        assert set(following.values()) == set(live) and len(live) <= 1, (following, cluster.jobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
        patch.setattr("asyncio.to_thread", turns.to_thread)
        patch.setattr("airflow_ray_jobs.release.RayHook", lambda **_: Hook(cluster))
        patch.setattr("airflow_ray_jobs.release._LOOK_SECONDS", 0.0)
        patch.setattr("airflow_ray_jobs.attempts._STOP_PAUSE_SECONDS", 0.0)
        asyncio.run(work())


def test_an_entry_survives_its_way_through_the_database(supervisor: FakeSupervisor) -> None:
    whole = Watcher(
        dag_id="d" * 250, run_id="r" * 250, task_id="t" * 250, map_index=3, clears=5, conn_id="c",
        address="http://h:1", namespace="n",
    )  # fmt: skip
    Watchers().add("a" * 16 + "-a1234", whole)
    assert all(len(key) <= 250 for key in supervisor.variables)  # what Airflow's column takes
    assert Watchers().of("a" * 16 + "-a1234") == ([whole], {})
    assert Watchers().submission_ids() == ["a" * 16 + "-a1234"]
    Watchers().remove("a" * 16 + "-a1234", whole)
    Watchers().remove("a" * 16 + "-a1234", whole)
    assert supervisor.variables == {}
