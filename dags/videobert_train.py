"""Training: codebook -> tokens -> pretrain -> evaluate -> embed -> promote when the gates hold."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param
from videobert_common import DEFAULT_ARGS, EMBEDDINGS, MODEL, ray_job, stage_job

_CODEBOOK = "--codebook {{ ti.xcom_pull(task_ids='codebook')['spec'] }}"
_MODEL_SPEC = "{{ ti.xcom_pull(task_ids='pretrain')['spec'] }}"
_BATCHES = "{{ params.batches }}"

with DAG(
    dag_id="videobert_train",
    schedule=CronTriggerTimetable("0 3 * * 0", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={
        "batches": Param(
            "", type="string", description="Batch keys to train on, separated by commas; empty: all there are."
        )
    },
    tags=["videobert"],
    doc_md="""
### videobert_train
Weekly, or by hand. Fits the codebook on the batches, tokenises them, trains VideoBERT, evaluates it on the held-out
videos and embeds every batch with it. `promote` moves the `current` pointer in one write, and only when the gates of
the recipe hold and the embeddings are whole: until then readers keep the former model.
""",
) as dag:
    codebook = stage_job("codebook", batch=_BATCHES, deadline=timedelta(hours=12))
    tokens = stage_job("tokens", batch=_BATCHES, flags=_CODEBOOK, deadline=timedelta(hours=12))
    pretrain = stage_job("pretrain", flags=_CODEBOOK, deadline=timedelta(days=7))
    evaluate = stage_job("evaluate", flags=f"--model {_MODEL_SPEC}", deadline=timedelta(hours=6))
    embed = stage_job(
        "embed", batch=_BATCHES, flags=f"--model {_MODEL_SPEC}", deadline=timedelta(hours=24), outlets=[EMBEDDINGS]
    )
    promote = ray_job(
        "promote", f"python -m pipeline models --promote {_MODEL_SPEC}", deadline=timedelta(minutes=30), outlets=[MODEL]
    )
    promote.doc_md = "**promote**: move the `current` pointer when the gates hold and the embeddings are whole."
    codebook >> tokens >> pretrain >> evaluate >> embed >> promote
