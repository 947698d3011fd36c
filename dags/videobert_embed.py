"""New features of a batch: tokens -> embed with the promoted model. Driven by the asset, partition by partition."""

from __future__ import annotations

from itertools import pairwise

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from videobert.stages import flow_of
from videobert_alerts import alerts
from videobert_common import (
    BATCH,
    BATCH_PARAM,
    DEFAULT_ARGS,
    FEATURES,
    FILTERS,
    MAX_ACTIVE_RUNS,
    root,
    stage_job,
)  # fmt: skip

with DAG(
    dag_id="videobert_embed",
    schedule=PartitionedAssetTimetable(assets=FEATURES),
    catchup=False,
    max_active_runs=MAX_ACTIVE_RUNS,
    default_args=DEFAULT_ARGS,
    params={"batch": BATCH_PARAM},
    user_defined_filters=FILTERS,
    tags=["videobert"],
    **alerts("videobert_embed"),
    doc_md="""
### videobert_embed
Follows `videobert_ingest` batch by batch: quantises the new features with the codebook of the promoted model and writes
the embeddings. Before a first model is promoted there is nothing to embed with: the run skips, and the training DAG
embeds every batch before it promotes.
""",
) as dag:

    @task.short_circuit(retries=1)
    def model_is_promoted() -> bool:
        """Whether readers have a model; the rest is skipped when they have none."""
        from videobert.runtime.pointer import read_pointer
        from videobert.runtime.storage import Store

        return read_pointer(Store(root())) is not None

    tasks = [stage_job(stage, batch=BATCH, flags=("--model", "current")) for stage in flow_of("embed")]
    for before, after in pairwise([model_is_promoted(), *tasks]):
        before >> after
