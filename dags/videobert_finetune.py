"""A task learnt from labels: finetune -> predict of every batch. By hand, or when a model is promoted."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, task

from videobert.recipes import DEFAULT_RECIPE, get_recipe
from videobert_alerts import alerts
from videobert_common import BATCHES, BATCHES_PARAM, DEFAULT_ARGS, FILTERS, MODEL, root, stage_job

_TASK = ("--task", "{{ ti.xcom_pull(task_ids='finetune')['spec'] }}")

with DAG(
    dag_id="videobert_finetune",
    schedule=[MODEL],
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={"batches": BATCHES_PARAM},
    user_defined_filters=FILTERS,
    tags=["videobert"],
    **alerts("videobert_finetune"),
    doc_md="""
### videobert_finetune
Learns the task of the recipe (`[finetune]`, its labels) on top of the promoted model, whenever one is promoted, or by
hand (`videobert trigger --dag finetune`). Then every batch gets its predictions. A recipe without labels skips the run.
The report lies in `finetuned/<spec>/report.html`.
""",
) as dag:

    @task.short_circuit(retries=1, execution_timeout=timedelta(minutes=5))
    def labels_are_named() -> bool:
        """Whether the recipe says what to learn; the rest is skipped when it does not."""
        return bool(root() and get_recipe(os.environ.get("VIDEOBERT_RECIPE", DEFAULT_RECIPE)).finetune.labels)

    finetune = stage_job("finetune", batch=BATCHES, flags=("--model", "current"))
    predict = stage_job("predict", task_id="predict_of_every_batch", flags=_TASK)
    labels_are_named() >> finetune >> predict
