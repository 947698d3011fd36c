"""Training: codebook -> tokens -> pretrain -> evaluate -> gates -> tokens and embed of every batch -> promote."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException

from videobert.stages import BatchStage, CorpusStage, flow_of, get_stage
from videobert_alerts import alerts, approval
from videobert_common import (
    BATCHES,
    BATCHES_PARAM,
    DEFAULT_ARGS,
    FILTERS,
    MODEL,
    executor_options,
    ray_job,
    root,
    stage_job,
    training_schedule,
)  # fmt: skip
from videobert_weeks import after_week, trains_after_week

_MODEL_SPEC = "{{ ti.xcom_pull(task_ids='pretrain')['spec'] }}"
_MODEL = ("--model", _MODEL_SPEC)

with DAG(
    dag_id="videobert_train",
    schedule=after_week() if trains_after_week() else training_schedule(),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={"batches": BATCHES_PARAM},
    user_defined_filters=FILTERS,
    tags=["videobert"],
    **alerts("videobert_train"),
    doc_md="""
### videobert_train
Weekly (`VIDEOBERT_TRAIN_CRON`), when a week of batches is complete (`VIDEOBERT_TRAIN_AFTER`), or by hand
(`videobert trigger --dag train`). Fits the codebook on the batches,
tokenises them, trains VideoBERT and evaluates it on the held-out videos. `gates` ends the run there when the model
misses one. Then every batch that has features is embedded with it, next to the embeddings of the former model, which
readers keep until `promote` moves the `current` pointer in one write. What has come in meanwhile it embeds before
it ends. `videobert models --rollback` moves the pointer back.
""",
) as dag:
    tasks: list[Any] = []
    chosen: tuple[str, str] | None = None
    for name in flow_of("train"):
        stage = get_stage(name)
        reads_batches = isinstance(stage, BatchStage) or stage.takes_batches
        tasks.append(stage_job(name, batch=BATCHES if reads_batches else "", flags=chosen or ()))
        if isinstance(stage, CorpusStage) and stage.artifact:
            chosen = (f"--{stage.artifact}", f"{{{{ ti.xcom_pull(task_ids='{name}')['spec'] }}}}")

    @task(retries=0)
    def gates(model_spec: str) -> str:
        """Whether the model may go on; a gate that it misses fails the run."""
        from videobert.admin.evaluations import check_gates
        from videobert.errors import InputError
        from videobert.runtime.storage import Store

        try:
            return check_gates(Store(root()), model_spec)
        except InputError as error:
            raise AirflowFailException(str(error)) from error

    embeds = [
        stage_job(name, task_id=f"{name}_of_every_batch" if name in flow_of("train") else name, flags=_MODEL)
        for name in flow_of("embed")
    ]
    promote = ray_job(
        "promote",
        ("models", "--promote", _MODEL_SPEC, "--executor.kind", "ray", *executor_options("embed")),
        deadline=timedelta(hours=get_stage("embed").hours),
        outlets=[MODEL],
    )
    promote.doc_md = (
        "**promote**: embed what has come in since, move the `current` pointer, and embed what came in meanwhile."
    )
    for before, after in pairwise([*tasks, gates(_MODEL_SPEC), *approval(_MODEL_SPEC), *embeds, promote]):
        before >> after
