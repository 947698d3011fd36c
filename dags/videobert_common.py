"""What the three DAGs share: settings from the environment, assets, and one function that makes a stage a Ray job.

VIDEOBERT_ROOT      where everything is written, for example s3://bucket/videobert
VIDEOBERT_RECIPE    named configuration (`demo`, `paper`)
VIDEOBERT_OPTIONS   more flags for every job, for example `--ingest.source s3://bucket/videos/{batch}`
RAY_ADDRESS_URL     dashboard of the cluster; empty: the Airflow connection `ray_default`
"""

from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime, timedelta

from airflow.sdk import Asset

from operators.ray_job import RayJobOperator
from pipeline.stages import get_stage

__all__ = ["BATCH", "DEFAULT_ARGS", "EMBEDDINGS", "FEATURES", "MODEL", "last_batch", "ray_job", "root", "stage_job"]

FEATURES = Asset(name="videobert_features", uri="x-videobert://features")
MODEL = Asset(name="videobert_model", uri="x-videobert://model")
EMBEDDINGS = Asset(name="videobert_embeddings", uri="x-videobert://embeddings")

BATCH = "{{ dag_run.partition_key or params.batch }}"
"""The batch of a partitioned run; `params.batch` serves `dag.test()`, which knows no partition key."""

DEFAULT_ARGS = {
    "owner": os.environ.get("VIDEOBERT_OWNER", "videobert"),
    "retries": 2,
    "retry_delay": timedelta(seconds=int(os.environ.get("VIDEOBERT_RETRY_SECONDS", "60"))),
}


def root() -> str:
    """Root of the pipeline."""
    return os.environ.get("VIDEOBERT_ROOT", "")


def last_batch() -> datetime | None:
    """Day of the last batch that the daily schedule runs; backfills may reach it too."""
    day = os.environ.get("VIDEOBERT_LAST_BATCH", "")
    return datetime.fromisoformat(day).replace(tzinfo=UTC) if day else None


def stage_job(stage: str, *, batch: str = "", flags: str = "", deadline: timedelta, **kwargs: object) -> RayJobOperator:
    """A stage of the flow as one Ray job. `batch` and `flags` may hold templates."""
    command = f"python -m pipeline stage {stage} --executor.kind ray"
    if batch:
        command += f" --batch '{batch}'"
    task = ray_job(stage, f"{command} {flags}".strip(), deadline=deadline, result=True, **kwargs)
    task.doc_md = f"**{stage}**: {get_stage(stage).summary}. One Ray job; what is committed is not computed again."
    return task


def ray_job(
    task_id: str, command: str, *, deadline: timedelta, result: bool = False, **kwargs: object
) -> RayJobOperator:
    """A command of `videobert` as one Ray job."""
    recipe = shlex.quote(os.environ.get("VIDEOBERT_RECIPE", "demo"))
    options = os.environ.get("VIDEOBERT_OPTIONS", "") if result else ""
    return RayJobOperator(
        task_id=task_id,
        entrypoint=f"{command} --root {shlex.quote(root())} --recipe {recipe} {options}".strip(),
        address=os.environ.get("RAY_ADDRESS_URL") or None,
        result_uri=f"{root()}/runs/{{submission_id}}.json" if result else None,
        poll_seconds=float(os.environ.get("VIDEOBERT_POLL_SECONDS", "5")),
        deadline=deadline,
        # A stage finds for itself what is committed, in seconds; a cleared task should look at the bucket again.
        force=True,
        **kwargs,  # type: ignore[arg-type]
    )
