"""Training: codebook -> tokens -> pretrain -> evaluate -> gates -> tokens and embed of every batch -> promote."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException

from videobert_common import (
    BATCHES,
    BATCHES_PARAM,
    DEFAULT_ARGS,
    EMBEDDINGS,
    FILTERS,
    MODEL,
    ray_job,
    root,
    stage_job,
    training_schedule,
)  # fmt: skip

_CODEBOOK = ("--codebook", "{{ ti.xcom_pull(task_ids='codebook')['spec'] }}")
_MODEL_SPEC = "{{ ti.xcom_pull(task_ids='pretrain')['spec'] }}"
_MODEL = ("--model", _MODEL_SPEC)

with DAG(
    dag_id="videobert_train",
    schedule=training_schedule(),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={"batches": BATCHES_PARAM},
    user_defined_filters=FILTERS,
    tags=["videobert"],
    doc_md="""
### videobert_train
Weekly (`VIDEOBERT_TRAIN_CRON`), or by hand (`videobert trigger --dag train`). Fits the codebook on the batches,
tokenises them, trains VideoBERT and evaluates it on the held-out videos. `gates` ends the run there when the model
misses one. Then every batch that has features is embedded with it, next to the embeddings of the former model, which
readers keep until `promote` moves the `current` pointer in one write. `videobert models --rollback` moves it back.
""",
) as dag:
    codebook = stage_job("codebook", batch=BATCHES, deadline=timedelta(hours=12))
    tokens = stage_job("tokens", batch=BATCHES, flags=_CODEBOOK, deadline=timedelta(hours=12))
    pretrain = stage_job("pretrain", flags=_CODEBOOK, deadline=timedelta(days=7))
    evaluate = stage_job("evaluate", flags=_MODEL, deadline=timedelta(hours=6))

    @task(retries=0)
    def gates(model_spec: str) -> str:
        """Whether the model may go on; a gate that it misses fails the run."""
        from videobert.admin.promotion import check_gates
        from videobert.errors import InputError
        from videobert.runtime.storage import Store

        try:
            return check_gates(Store(root()), model_spec)
        except InputError as error:
            raise AirflowFailException(str(error)) from error

    every_tokens = stage_job("tokens", task_id="tokens_of_every_batch", flags=_MODEL, deadline=timedelta(hours=24))
    embed = stage_job("embed", flags=_MODEL, deadline=timedelta(hours=24), outlets=[EMBEDDINGS])
    promote = ray_job(
        "promote",
        ("models", "--promote", _MODEL_SPEC),
        deadline=timedelta(minutes=30),
        outlets=[MODEL],
    )
    promote.doc_md = "**promote**: move the `current` pointer when the gates hold and the embeddings are whole."
    codebook >> tokens >> pretrain >> evaluate >> gates(_MODEL_SPEC) >> every_tokens >> embed >> promote
