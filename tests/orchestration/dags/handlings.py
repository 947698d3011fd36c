"""What an on-call engineer's clicks are tried on: jobs that sleep as long as a run says."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from airflow_ray_jobs.ray_job import RayJobOperator

_JOB = "import sys, time; print('the job says hello', flush=True); time.sleep(float(sys.argv[1]))"


def sleeper(dag_id: str, *, defer_after: timedelta) -> DAG:
    """One job; runs that name the same `key` want the same one."""
    with DAG(
        dag_id=dag_id,
        schedule=None,
        max_active_runs=9,
        params={"seconds": Param(600, type="number"), "key": Param("", type="string")},
    ) as dag:
        settings: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(seconds=2), "poll_seconds": 1.0}
        RayJobOperator(
            task_id="job",
            entrypoint=["python", "-c", _JOB, "{{ params.seconds }}"],
            job_key="{{ params.key or run_id }}",
            address=os.environ["RAY_ADDRESS_URL"],
            defer_after=defer_after,
            **settings,
        )
    return dag


deferred = sleeper("sleeps_deferred", defer_after=timedelta(0))
watched = sleeper("sleeps_watched", defer_after=timedelta(hours=1))
