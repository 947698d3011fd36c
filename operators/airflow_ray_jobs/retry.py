"""Which failures of a Ray job are worth another try."""

from __future__ import annotations

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from airflow_ray_jobs.errors import RayJobBadInput, RayJobResultError, RayJobSetupError

__all__ = ["ray_retry_policy"]


def ray_retry_policy() -> ExceptionRetryPolicy:
    """Fail at once where the same job would fail again; leave broken infrastructure to the task's own `retries`."""
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception=RayJobBadInput,
                action=RetryAction.FAIL,
                reason="the job cannot succeed as asked (exit code 2 or refused submission)",
            ),
            RetryRule(
                exception=RayJobSetupError,
                action=RetryAction.FAIL,
                reason="the runtime environment cannot be built",
            ),
            RetryRule(
                exception=RayJobResultError,
                action=RetryAction.FAIL,
                reason="the job succeeded without a valid result",
            ),
        ]
    )
