"""Who is told: real notifiers of Airflow, a real SMTP server and a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.deadline import DeadlineReference
from airflow.sdk.execution_time import task_runner

from tests.airflow_ray_jobs.fakes import FakeSupervisor
from tests.dags.test_dags import parse
from tests.inbox import Inbox, open_inbox
from videobert.errors import InputError

HOSTILE = "<b>{{ 7 * 7 }}\nBcc: x@y.example"


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    """Both channels set, and the memory of a deployment."""
    with open_inbox() as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.org")
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", FakeSupervisor(), raising=False)
        yield found


@pytest.fixture(scope="module")
def alerts() -> Iterator[ModuleType]:
    folder = str(Path(__file__).resolve().parents[2] / "dags")
    sys.path.insert(0, folder)
    yield importlib.import_module("videobert_alerts")
    sys.path.remove(folder)


def run_of(batch: str, **others: Any) -> dict[str, Any]:
    run = SimpleNamespace(partition_key=batch, conf={})
    return {"dag": DAG(dag_id="videobert_ingest", schedule=None), "run_id": "run 1", "dag_run": run, **others}


def test_a_failure_and_the_recovery_are_told_once(alerts: ModuleType, inbox: Inbox) -> None:
    alerts.tell_recovered(run_of("2026-01-01"))
    assert (inbox.mails, inbox.posts) == ([], [])  # nothing had failed
    alerts.tell_failed(run_of("2026-01-01", reason="task_failure"))
    alerts.tell_recovered(run_of("2026-01-02"))  # of another batch
    alerts.tell_recovered(run_of("2026-01-01"))
    alerts.tell_recovered(run_of("2026-01-01"))
    titles = ["videobert_ingest 2026-01-01 failed", "videobert_ingest 2026-01-01 has recovered"]
    url = "https://airflow.example.org/dags/videobert_ingest/runs/run%201"
    assert [mail["Subject"] for mail in inbox.mails] == titles
    assert [post["text"] for post in inbox.posts] == [f"{title} {url}" for title in titles]
    assert inbox.mails[0]["To"] == "a@example.org, b@example.org"
    body = inbox.mails[0].get_body()
    assert body is not None and url in body.get_content() and "task_failure" in body.get_content()


def test_a_hostile_batch_is_text(alerts: ModuleType, inbox: Inbox) -> None:
    alerts.tell_failed(run_of(HOSTILE))
    (mail,) = inbox.mails
    assert mail["Subject"] == "videobert_ingest <b>{{ 7 * 7 }} Bcc: x@y.example failed" and mail["Bcc"] is None
    body = mail.get_body()
    assert body is not None and "<b>" not in body.get_content() and "49" not in body.get_content()


def test_a_late_run_is_told_by_the_triggerer(alerts: ModuleType, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Airflow calls it there: by the stored path and arguments, with the run as the scheduler describes it."""
    from airflow.triggers.callback import CallbackTrigger

    monkeypatch.setenv("VIDEOBERT_LATE_HOURS", "ingest=0.5")
    deadlines = alerts.alerts("videobert_ingest")["deadline"]
    assert "deadline" not in alerts.alerts("videobert_embed")
    run = {"dag_id": "videobert_ingest", "dag_run_id": "run 1", "partition_key": "2026-01-01"}

    async def fire(callback: Any) -> list[Any]:
        stored = json.loads(json.dumps(callback.kwargs)) | {"context": {"dag_run": run}}
        return [event.payload async for event in CallbackTrigger(callback.path, stored).run()]

    assert len(deadlines) == 2  # by mail and by post
    for deadline in deadlines:
        assert deadline.reference == DeadlineReference.DAGRUN_QUEUED_AT  # a run of a partition has no logical date
        payloads = asyncio.run(fire(deadline.callback))
        assert payloads[-1]["state"] == "success", payloads
    (mail,), (post,) = inbox.mails, inbox.posts
    assert mail["Subject"] == "videobert_ingest 2026-01-01 is late: not done 0.5 hours after it was queued"
    assert post["text"] == f"{mail['Subject']} https://airflow.example.org/dags/videobert_ingest/runs/run%201"


def test_what_cannot_be_meant_is_refused(alerts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOBERT_LATE_HOURS", "train=48")
    with pytest.raises(InputError, match="nobody is told"):
        alerts.alerts("videobert_train")
    monkeypatch.setenv("VIDEOBERT_LATE_HOURS", "training=48")
    with pytest.raises(InputError, match="write it as ingest=6"):
        alerts.alerts("videobert_train")
    monkeypatch.setenv("VIDEOBERT_APPROVAL", "maybe")
    with pytest.raises(InputError, match="set it to yes or no"):
        alerts.approval("m")


def test_the_dags_parse_with_all_of_it(tmp_path: Path) -> None:
    found = parse(
        tmp_path, VIDEOBERT_ALERT_EMAIL="a@example.org", VIDEOBERT_ALERT_WEBHOOK="chat", VIDEOBERT_APPROVAL="yes",
        VIDEOBERT_LATE_HOURS="ingest=6,embed=2,train=48",
    )  # fmt: skip
    assert found["errors"] == {}
    edges = found["dags"]["videobert_train"]["edges"]
    assert ["gates", "approve"] in edges and ["approve", "tokens_of_every_batch"] in edges
    told = {name: dag["told"] for name, dag in found["dags"].items()}
    late = {"videobert_ingest": [6.0, 6.0], "videobert_embed": [2.0, 2.0], "videobert_train": [48.0, 48.0]}
    assert told == {name: [2, late.get(name, [])] for name in found["dags"]}
