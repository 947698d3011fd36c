"""Every row of the reconnect table, against a Jobs API over real HTTP."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

from airflow_ray_jobs.attempts import Attempt, Claim, Origin, base_id, digest_of
from airflow_ray_jobs.backend import JobSpec
from airflow_ray_jobs.endpoint import Endpoint
from airflow_ray_jobs.errors import RayJobBadInput, RayJobResultError, RayNotReady, RayUnavailable
from airflow_ray_jobs.jobs_api import JobsApi
from airflow_ray_jobs.result import read_result
from airflow_ray_jobs.watchers import Watcher, Watchers
from tests.airflow_ray_jobs.fakes import TOKEN, FakeJob, FakeJobsApi


def claim(
    fake: FakeJobsApi,
    folder: Path | None = None,
    *,
    force: bool = False,
    proves_itself: bool = False,
    token: str | None = TOKEN,
) -> Attempt:
    def reusable(submission_id: str) -> dict[str, Any] | None:
        if folder is None:
            return None
        try:
            return read_result(str(folder / f"{submission_id}.json"), submission_id)
        except RayJobResultError:
            return None

    async def work() -> Attempt:
        async with JobsApi(Endpoint(url=fake.url, token=token)) as backend:
            spec = JobSpec(entrypoint="true", num_cpus=0.5, metadata={"who": "me"})
            claim = Claim(
                backend=backend, watchers=Watchers(), me=me(), base="base", make_spec=lambda _: spec,
                reusable=reusable, proves_itself=proves_itself, force=force,
            )  # fmt: skip
            return await claim.make()

    return asyncio.run(work())


def me(run_id: str = "run", *, clears: int = 2) -> Watcher:
    return Watcher(dag_id="dag", run_id=run_id, task_id="task", map_index=-1, clears=clears, conn_id="ray_default")


def write_result(folder: Path, submission_id: str, named: str | None = None) -> None:
    (folder / f"{submission_id}.json").write_text(json.dumps({"submission_id": named or submission_id, "rows": 1}))


def test_an_absent_job_is_submitted_as_attempt_1(fake: FakeJobsApi) -> None:
    attempt = claim(fake)
    assert (attempt.submission_id, attempt.origin) == ("base-a1", Origin.SUBMITTED)
    request = fake.jobs["base-a1"].request
    assert request["entrypoint"] == "true" and request["entrypoint_num_cpus"] == 0.5
    assert request["metadata"] == {"who": "me"}


def test_a_head_without_an_agent_is_waited_for(fake: FakeJobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_ray_jobs.attempts._READY_PAUSE_SECONDS", 0.01)
    fake.submits_without_agent = 3
    assert claim(fake).submission_id == "base-a1"
    assert [call for call in fake.calls if call[0] == "POST"] == [("POST", "/api/jobs/")] * 4


def test_a_head_that_never_gets_an_agent_is_named(fake: FakeJobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_ray_jobs.attempts._READY_SECONDS", 0.0)
    fake.submits_without_agent = 1
    with pytest.raises(RayNotReady, match="no agent yet"):
        claim(fake)
    assert fake.jobs == {}


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
def test_a_live_job_is_attached_to(fake: FakeJobsApi, status: str) -> None:
    fake.jobs["base-a1"] = FakeJob(status)
    attempt = claim(fake, force=True)
    assert (attempt.submission_id, attempt.origin) == ("base-a1", Origin.ATTACHED)
    assert attempt.start_seconds == 1_700_000_000
    assert not any(method == "POST" for method, _ in fake.calls)


def test_a_success_with_its_result_is_reused(fake: FakeJobsApi, tmp_path: Path) -> None:
    fake.jobs["base-a1"] = FakeJob("SUCCEEDED")
    write_result(tmp_path, "base-a1")
    attempt = claim(fake, tmp_path)
    assert attempt.origin is Origin.REUSED and attempt.result == {"submission_id": "base-a1", "rows": 1}
    assert set(fake.jobs) == {"base-a1"}


@pytest.mark.parametrize("case", ["proved", "not proved", "forced", "another attempt's", "no result"])
def test_a_result_that_proves_itself_outlives_the_head(fake: FakeJobsApi, tmp_path: Path, case: str) -> None:
    if case != "no result":
        write_result(tmp_path, "base-a1", named="base-a7" if case == "another attempt's" else None)
    attempt = claim(fake, tmp_path, proves_itself=case != "not proved", force=case == "forced")
    assert attempt.submission_id == "base-a1"
    assert attempt.origin is (Origin.REUSED if case == "proved" else Origin.SUBMITTED)
    assert set(fake.jobs) == (set() if case == "proved" else {"base-a1"})


@pytest.mark.parametrize("case", ["no result asked for", "no result file", "result of another attempt", "force"])
def test_a_success_that_proves_nothing_leads_to_the_next_attempt(fake: FakeJobsApi, tmp_path: Path, case: str) -> None:
    fake.jobs["base-a1"] = FakeJob("SUCCEEDED")
    if case == "result of another attempt":
        write_result(tmp_path, "base-a1", named="base-a7")
    if case == "force":
        write_result(tmp_path, "base-a1")
    attempt = claim(fake, None if case == "no result asked for" else tmp_path, force=case == "force")
    assert (attempt.submission_id, attempt.origin) == ("base-a2", Origin.SUBMITTED)


@pytest.mark.parametrize("status", ["FAILED", "STOPPED"])
def test_an_ended_attempt_leads_to_the_next(fake: FakeJobsApi, status: str) -> None:
    fake.jobs["base-a1"] = FakeJob(status)
    fake.jobs["base-a2"] = FakeJob("FAILED")
    assert claim(fake).submission_id == "base-a3"


def test_the_newest_live_attempt_is_found_behind_ended_ones(fake: FakeJobsApi) -> None:
    fake.jobs |= {"base-a1": FakeJob("FAILED"), "base-a2": FakeJob("RUNNING")}
    attempt = claim(fake)
    assert (attempt.submission_id, attempt.origin) == ("base-a2", Origin.ATTACHED)


@pytest.mark.parametrize("answer", [500, 400, 409])  # Ray 2.60 answers 500
def test_a_lost_race_attaches_to_the_winner(fake: FakeJobsApi, answer: int, caplog: pytest.LogCaptureFixture) -> None:
    fake.used_id_status = answer
    fake.jobs["base-a1"] = FakeJob("RUNNING")
    fake.hide_once = {"base-a1"}  # the first look was a moment too early
    attempt = claim(fake)
    assert (attempt.submission_id, attempt.origin) == ("base-a1", Origin.ATTACHED)
    assert ("POST", "/api/jobs/") in fake.calls
    assert "no clear answer" not in caplog.text


def test_a_race_lost_to_a_job_that_failed_leads_to_the_next_attempt(fake: FakeJobsApi) -> None:
    fake.jobs["base-a1"] = FakeJob("FAILED")
    fake.hide_once = {"base-a1"}
    assert claim(fake).submission_id == "base-a2"


def test_workers_that_submit_at_once_share_one_job(fake: FakeJobsApi) -> None:
    fake.delay_seconds = 0.05

    async def one() -> Attempt:
        async with JobsApi(Endpoint(url=fake.url, token=TOKEN)) as backend:
            claim = Claim(
                backend=backend, watchers=Watchers(), me=me(), base="base",
                make_spec=lambda _: JobSpec(entrypoint="x"), reusable=lambda _: None,
            )  # fmt: skip
            return await claim.make()

    async def all_of_them() -> list[Attempt]:
        return list(await asyncio.gather(*(one() for _ in range(5))))

    attempts = asyncio.run(all_of_them())
    assert set(fake.jobs) == {"base-a1"}
    assert sorted(a.origin for a in attempts) == [Origin.ATTACHED] * 4 + [Origin.SUBMITTED]


def test_a_submission_whose_answer_was_lost_is_not_repeated(fake: FakeJobsApi) -> None:
    fake.lose_submit_answer = True
    attempt = claim(fake)
    assert (attempt.submission_id, attempt.origin) == ("base-a1", Origin.ATTACHED)


def test_a_refused_submission_is_bad_input(fake: FakeJobsApi) -> None:
    fake.refuse_with = "TypeError: entrypoint_memory must be an integer"
    with pytest.raises(RayJobBadInput, match="must be an integer"):
        claim(fake)


def test_a_server_in_trouble_and_a_wrong_token_are_unavailable(fake: FakeJobsApi) -> None:
    fake.failing_answers = 1
    with pytest.raises(RayUnavailable, match="503"):
        claim(fake)
    with pytest.raises(RayUnavailable, match="401") as missing:
        claim(fake, token=None)
    with pytest.raises(RayUnavailable, match="403") as wrong:
        claim(fake, token="not-the-token")
    assert missing.value.unauthorized and wrong.value.unauthorized
    assert "not-the-token" not in str(wrong.value)
    fake_url, fake.url = fake.url, "http://127.0.0.1:9"
    with pytest.raises(RayUnavailable, match="no answer"):
        claim(fake)
    fake.url = fake_url


@pytest.mark.parametrize("ended", [1, 2, 3, 6, 7, 200, 201, 5000])
def test_forced_runs_never_use_the_attempts_up(fake: FakeJobsApi, ended: int) -> None:
    """A weekly training for years, on a head that never restarted."""
    fake.jobs = {f"base-a{n}": FakeJob("SUCCEEDED") for n in range(1, ended + 1)}
    attempt = claim(fake, force=True)
    assert (attempt.submission_id, attempt.origin) == (f"base-a{ended + 1}", Origin.SUBMITTED)
    assert len(fake.calls) <= 2 * math.log2(ended) + 3
    attempt = claim(fake, force=True)
    assert (attempt.submission_id, attempt.origin) == (f"base-a{ended + 1}", Origin.ATTACHED)


def test_the_newest_result_that_stands_is_reused(fake: FakeJobsApi, tmp_path: Path) -> None:
    fake.jobs = {f"base-a{n}": FakeJob("SUCCEEDED") for n in range(1, 301)} | {"base-a300": FakeJob("FAILED")}
    write_result(tmp_path, "base-a1")
    write_result(tmp_path, "base-a298")
    assert claim(fake, tmp_path).submission_id == "base-a298"
    (tmp_path / "base-a298.json").unlink()
    assert claim(fake, tmp_path).submission_id == "base-a301"  # no search through hundreds of objects
    assert len(fake.calls) < 80


def test_a_server_that_changes_without_end_is_unavailable(fake: FakeJobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_ray_jobs.attempts._ROUNDS", 3)
    fake.jobs = {f"base-a{n}": FakeJob("FAILED") for n in range(1, 100)}
    fake.hide_once = set(fake.jobs)
    with pytest.raises(RayUnavailable, match="change faster"):
        claim(fake, force=True)


def test_identity_is_stable_and_tells_runs_and_inputs_apart() -> None:
    assert base_id("dag", "run", "task", -1, "d") == base_id("dag", "run", "task", -1, "d")
    assert len({base_id("dag", r, "task", m, d) for r in "ab" for m in (0, 1) for d in "xy"}) == 8
    assert digest_of("cmd", {"a": 1, "b": 2}) == digest_of("cmd", {"b": 2, "a": 1})
    assert digest_of("cmd", {"a": 1}) != digest_of("cmd", {"a": 2})
