"""Daily batches of videos: ingest -> shard -> features. Backfillable by partition."""

from __future__ import annotations

from itertools import pairwise

from airflow.sdk import DAG, CronPartitionTimetable

from videobert.stages import flow_of
from videobert_alerts import alerts
from videobert_common import (
    BATCH,
    BATCH_PARAM,
    DEFAULT_ARGS,
    FILTERS,
    MAX_ACTIVE_RUNS,
    last_batch,
    share_jobs,
    stage_job,
)  # fmt: skip
from videobert_weeks import day_is_done

with DAG(
    dag_id="videobert_ingest",
    # At midnight the day that ended is the batch that is whole.
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", key_format="%Y-%m-%d", run_offset=-1),
    end_date=last_batch(),
    catchup=False,
    max_active_runs=MAX_ACTIVE_RUNS,
    default_args=DEFAULT_ARGS,
    params={"batch": BATCH_PARAM},
    user_defined_filters=FILTERS,
    tags=["videobert"],
    **alerts("videobert_ingest"),
    doc_md="""
### videobert_ingest
One run per batch of videos; the partition key is the batch. `ingest` lists and probes the videos below the source,
`shard` packs them into WebDataset tars, `features` turns clips into vectors.

**Backfill:** `videobert backfill --from 2026-01-01 --to 2026-01-03`, or Airflow's own CLI, REST API or UI.
**One batch, also one that is no day:** `videobert trigger --batch 2026-01-05,late-uploads`.
Batches that are complete are found so in seconds. Videos that cannot be used end in the dead letters
(`videobert dead-letters`) and fail nothing.
""",
) as dag:
    tasks = []
    for stage in flow_of("ingest"):
        tasks += [*share_jobs(stage, batch=BATCH), stage_job(stage, batch=BATCH)]
    for before, after in pairwise([*tasks, *day_is_done()]):
        before >> after
