"""New embeddings of a batch: predict with the fine-tuned model. Driven by the asset, partition by partition."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from videobert.recipes import DEFAULT_RECIPE, get_recipe
from videobert_alerts import alerts
from videobert_common import (
    BATCH,
    BATCH_PARAM,
    DEFAULT_ARGS,
    EMBEDDINGS,
    FILTERS,
    MAX_ACTIVE_RUNS,
    root,
    stage_job,
)  # fmt: skip

with DAG(
    dag_id="videobert_predict",
    schedule=PartitionedAssetTimetable(assets=EMBEDDINGS),
    catchup=False,
    max_active_runs=MAX_ACTIVE_RUNS,
    default_args=DEFAULT_ARGS,
    params={"batch": BATCH_PARAM},
    user_defined_filters=FILTERS,
    tags=["videobert"],
    **alerts("videobert_predict"),
    doc_md="""
### videobert_predict
Follows `videobert_embed` batch by batch: the model that was fine-tuned on the recipe's labels answers for every segment
or video. Where none has been fine-tuned from the promoted model, the run skips, and `videobert_finetune` predicts every
batch when it has.
""",
) as dag:

    @task.short_circuit(retries=1, execution_timeout=timedelta(minutes=5))
    def tuned_model() -> str:
        """Spec of the fine-tuned model; the rest is skipped when there is none."""
        from videobert.predict.tuned import tuned_spec
        from videobert.runtime.storage import Store

        return tuned_spec(get_recipe(os.environ.get("VIDEOBERT_RECIPE", DEFAULT_RECIPE)), Store(root()))

    flags = ("--task", "{{ ti.xcom_pull(task_ids='tuned_model') }}")
    tuned_model() >> stage_job("predict", batch=BATCH, flags=flags)
