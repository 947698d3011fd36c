"""Two Ray jobs in a row: the second one reads what the first one's result names.

Needs a Ray cluster of one node and the connection `ray_default` (see the README), and a folder that Airflow's workers
and Ray's nodes share: RESULTS, an fsspec URL such as s3://bucket/results or file:///shared/results.
"""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_ray_jobs.ray_job import RayJobOperator

RESULTS = os.environ.get("RESULTS", "file:///tmp/example_ray_job")

SQUARES = """
import json, os, sys
import fsspec, ray

@ray.remote
def square(number):
    return number * number

squares = ray.get([square.remote(number) for number in range(int(sys.argv[1]))])
result = {"submission_id": os.environ["RAY_JOB_SUBMISSION_ID"], "sum": sum(squares)}
with fsspec.open(os.environ["RAY_JOB_RESULT_URI"], "w", auto_mkdir=True) as file:
    json.dump(result, file)
"""

with DAG(
    dag_id="example_ray_job",
    schedule=None,
    params={"count": Param(10, type="integer", minimum=1, description="How many numbers to square.")},
    default_args={"retries": 2},
    tags=["example"],
    doc_md=__doc__,
) as dag:
    squares = RayJobOperator(
        task_id="squares",
        entrypoint=["python", "-c", SQUARES, "{{ params.count }}"],
        result_uri=RESULTS + "/{submission_id}.json",
        deadline=timedelta(minutes=10),
    )
    report = RayJobOperator(
        task_id="report",
        entrypoint=["echo", "The squares add up to {{ ti.xcom_pull(task_ids='squares')['sum'] }}."],
        deadline=timedelta(minutes=10),
    )
    squares >> report
