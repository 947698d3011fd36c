"""Maintenance: stop the Ray jobs that no task instance wants any more."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from videobert_alerts import alerts
from videobert_common import DEFAULT_ARGS, sweep_schedule

with DAG(
    dag_id="videobert_sweep",
    schedule=sweep_schedule(),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["videobert"],
    **alerts("videobert_sweep"),
    doc_md="""
### videobert_sweep
A task that is marked failed at the very moment in which its worker submits, or whose triggerer dies before it has told
Ray, leaves a job that nobody waits for. Every ten minutes (`VIDEOBERT_SWEEP_CRON`) this DAG finds such jobs and stops
them; a triggerer also looks for them whenever it begins to watch a job. A job that any task instance follows is left
alone, whichever DAG or run that belongs to. Its log says what was stopped.
""",
) as dag:

    @task(execution_timeout=timedelta(minutes=10))
    def sweep() -> list[str]:
        """Ids of the jobs that were told to stop."""
        import asyncio

        from airflow_ray_jobs.release import sweep as stop_abandoned_jobs
        from airflow_ray_jobs.watchers import Watchers

        return asyncio.run(stop_abandoned_jobs(Watchers()))

    sweep()
