"""The packaged example as a whole DAG run: Airflow's own task runner, trigger and XCom on a real Ray head."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.ray_head import RayHead

pytestmark = [pytest.mark.airflow, pytest.mark.ray]

RUN = """
import json, sys
from airflow_ray_jobs.example_dags.example_ray_job import dag

run = dag.test(run_conf={"count": 5})
found = {ti.task_id: ti for ti in run.get_task_instances()}
out = {
    "states": {name: str(ti.state) for name, ti in found.items()},
    "result": found["squares"].xcom_pull(task_ids="squares"),
    "links": {name: found["squares"].xcom_pull(task_ids=name, key="ray_job_link") for name in found},
}
with open(sys.argv[1], "w") as file:
    json.dump(out, file)
"""


def test_deferred_tasks_end_with_the_results_of_their_jobs(ray_head: RayHead, tmp_path: Path) -> None:
    outcome_file = tmp_path / "outcome.json"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "RAY_"))} | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parents[2] / "operators/airflow_ray_jobs/example_dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "RESULTS": f"file://{tmp_path}/results",
    }
    connection = json.dumps({"conn_type": "ray", "host": ray_head.url, "password": ray_head.token})
    for command in (
        ["-m", "airflow", "db", "migrate"],
        ["-m", "airflow", "connections", "add", "ray_default", "--conn-json", connection],
        ["-c", RUN, str(outcome_file)],
    ):
        done = subprocess.run(
            [sys.executable, *command], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    outcome = json.loads(outcome_file.read_text())
    told = done.stdout + done.stderr
    assert outcome["states"] == {"squares": "success", "report": "success"}, told[-3000:]
    assert outcome["result"]["sum"] == 0 + 1 + 4 + 9 + 16
    assert outcome["links"]["squares"] == f"{ray_head.url}/#/jobs/{outcome['result']['submission_id']}"
    assert "The squares add up to 30." in told
    assert ray_head.token not in told
