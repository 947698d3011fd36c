"""The operator against a real Ray head with token authentication."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from operators.errors import RayJobBadInput
from operators.ray_job import RayJobOperator
from tests.operators.conftest import RayHead
from tests.operators.fakes import FakeTaskInstance

pytestmark = pytest.mark.ray

WRITE_RESULT = (
    "python -c \"import json,os; json.dump({'submission_id': os.environ['RAY_JOB_SUBMISSION_ID'], 'rows': 3}, "
    "open(os.environ['RAY_JOB_RESULT_URI'], 'w')); print('rows written')\""
)


@pytest.fixture
def head(ray_head: RayHead, monkeypatch: pytest.MonkeyPatch) -> RayHead:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", ray_head.token)
    return ray_head


def operator_on(head: RayHead, tmp_path: Path, entrypoint: str, **kwargs: Any) -> RayJobOperator:
    kwargs.setdefault("result_uri", f"{tmp_path.as_uri()[7:]}/{{submission_id}}.json")
    return RayJobOperator(
        task_id="task", entrypoint=entrypoint, address=head.url, deferrable=False, poll_seconds=0.3, **kwargs
    )


def run(operator: RayJobOperator, run_id: str) -> Any:
    return operator.execute({"ti": FakeTaskInstance(run_id)})  # type: ignore[typeddict-item]


def test_a_finished_job_is_reused_and_its_result_returned(head: RayHead, tmp_path: Path) -> None:
    first = run(operator_on(head, tmp_path, WRITE_RESULT), "twice")
    written = [p.stat().st_mtime_ns for p in tmp_path.glob("*.json")]
    second = run(operator_on(head, tmp_path, WRITE_RESULT), "twice")
    assert first == second and first["rows"] == 3 and first["submission_id"].endswith("-a1")
    assert [p.stat().st_mtime_ns for p in tmp_path.glob("*.json")] == written
    again = run(operator_on(head, tmp_path, WRITE_RESULT, force="True"), "twice")
    assert again["submission_id"].endswith("-a2")
    assert json.loads(next(tmp_path.glob("*-a2.json")).read_text())["rows"] == 3


def test_exit_code_2_is_bad_input_and_carries_the_log_tail(head: RayHead, tmp_path: Path) -> None:
    with pytest.raises(RayJobBadInput, match="no such batch") as caught:
        run(operator_on(head, tmp_path, "echo no such batch; exit 2"), "bad")
    assert head.token not in str(caught.value)


def test_a_job_over_its_deadline_is_stopped(head: RayHead, tmp_path: Path) -> None:
    from operators.errors import RayJobTimeout

    with pytest.raises(RayJobTimeout):
        run(operator_on(head, tmp_path, "sleep 60", deadline=timedelta(seconds=4)), "slow")
