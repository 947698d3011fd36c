"""New embeddings of a batch: the applications that VIDEOBERT_APPLICATIONS names. Without it there is no such DAG."""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable

from videobert_alerts import alerts
from videobert_common import (
    BATCH_PARAM,
    DEFAULT_ARGS,
    EMBEDDINGS,
    FILTERS,
    MAX_ACTIVE_RUNS,
    application_commands,
    application_job,
)  # fmt: skip

if application_commands():
    with DAG(
        dag_id="videobert_applications",
        schedule=PartitionedAssetTimetable(assets=EMBEDDINGS),
        catchup=False,
        max_active_runs=MAX_ACTIVE_RUNS,
        default_args=DEFAULT_ARGS,
        params={"batch": BATCH_PARAM},
        user_defined_filters=FILTERS,
        tags=["videobert"],
        **alerts("videobert_applications"),
        doc_md="""
### videobert_applications
Follows `videobert_embed` batch by batch: each application of `VIDEOBERT_APPLICATIONS` writes one Parquet file per batch
below `VIDEOBERT_APPLICATIONS_OUT`, whole or not at all; a run that is repeated writes it anew.
""",
    ) as dag:
        for command in application_commands():
            application_job(command)
