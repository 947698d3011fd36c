"""A whole DAG run with the deferrable operator: Airflow's own task runner, trigger and XCom on a real Ray head."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.ray_head import RayHead

pytestmark = [pytest.mark.airflow, pytest.mark.ray]

DAG_FILE = """
import json, os, sys
from datetime import datetime
from airflow.sdk import DAG
from airflow_ray_jobs.ray_job import RayJobOperator

WRITE = (
    "python -c \\"import json,os; json.dump({'submission_id': os.environ['RAY_JOB_SUBMISSION_ID'], "
    "'batch': '{{ params.batch }}'}, open(os.environ['RAY_JOB_RESULT_URI'], 'w'))\\""
)

with DAG("one_job", schedule=None, start_date=datetime(2026, 1, 1), params={"batch": "2026-01-01"}) as dag:
    RayJobOperator(
        task_id="job",
        entrypoint=WRITE,
        result_uri=os.environ["RESULTS"] + "/{{ params.batch }}-{submission_id}.json",
        poll_seconds=0.5,
    )

if __name__ == "__main__":
    run = dag.test()
    ti = run.get_task_instances()[0]
    out = {
        "state": str(ti.state),
        "result": ti.xcom_pull(task_ids="job"),
        "link": ti.xcom_pull(task_ids="job", key="ray_job_link"),
    }
    with open(os.environ["OUTCOME"], "w") as file:
        json.dump(out, file)
"""


def test_a_deferred_task_ends_with_the_result_of_its_job(ray_head: RayHead, tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    file = tmp_path / "dags" / "one_job.py"
    file.write_text(DAG_FILE)
    repository = Path(__file__).parents[2]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "RAY_"))} | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "PYTHONPATH": str(repository),
        "RESULTS": str(tmp_path),
        "OUTCOME": str(tmp_path / "outcome.json"),
    }
    connection = json.dumps({"conn_type": "ray", "host": ray_head.url, "password": ray_head.token})
    for command in (
        ["-m", "airflow", "db", "migrate"],
        ["-m", "airflow", "connections", "add", "ray_default", "--conn-json", connection],
        [str(file)],
    ):
        done = subprocess.run(
            [sys.executable, *command], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=180
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    outcome = json.loads((tmp_path / "outcome.json").read_text())
    assert outcome["state"] == "success", done.stdout[-3000:] + done.stderr[-3000:]
    assert outcome["result"]["batch"] == "2026-01-01"
    assert outcome["link"] == f"{ray_head.url}/#/jobs/{outcome['result']['submission_id']}"
    assert ray_head.token not in done.stdout + done.stderr
