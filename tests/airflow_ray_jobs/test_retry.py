"""What is worth another try."""

from __future__ import annotations

import pytest
from airflow.sdk import RetryAction

from airflow_ray_jobs import errors
from airflow_ray_jobs.ray_job import RayJobOperator
from airflow_ray_jobs.retry import ray_retry_policy


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.RayJobBadInput("x"), RetryAction.FAIL),
        (errors.RayJobSetupError("x"), RetryAction.FAIL),
        (errors.RayJobResultError("x"), RetryAction.FAIL),
        (errors.RayJobFailed("x"), RetryAction.DEFAULT),
        (errors.RayJobStopped("x"), RetryAction.DEFAULT),
        (errors.RayJobTimeout("x"), RetryAction.DEFAULT),
        (errors.RayJobLost("x"), RetryAction.DEFAULT),
        (errors.RayUnavailable("x"), RetryAction.DEFAULT),
        (OSError("storage"), RetryAction.DEFAULT),
    ],
)
def test_only_what_would_fail_again_is_not_retried(error: Exception, action: RetryAction) -> None:
    assert ray_retry_policy().evaluate(error, 1, 3).action is action


def test_the_operator_brings_the_policy_and_lets_itself_be_overruled() -> None:
    found = RayJobOperator(task_id="t", entrypoint="x").retry_policy
    assert found is not None
    assert found.evaluate(errors.RayJobBadInput("x"), 1, 3).action is RetryAction.FAIL
    assert RayJobOperator(task_id="t", entrypoint="x", retry_policy=None).retry_policy is None
