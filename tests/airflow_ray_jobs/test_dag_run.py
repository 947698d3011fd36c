"""The packaged example as a whole DAG run: Airflow's own task runner, trigger and XCom on a real Ray head."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.ray_head import RayHead

pytestmark = [pytest.mark.airflow, pytest.mark.ray, pytest.mark.slow]

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


def environment(folder: Path) -> dict[str, str]:
    """An Airflow of its own, which knows nothing but the example."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "RAY_"))} | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parents[2] / "operators/airflow_ray_jobs/example_dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "RESULTS": f"file://{folder}/results",
    }


def airflow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "airflow", *arguments]
    return subprocess.run(command, env=environment(folder), cwd=folder, capture_output=True, text=True, timeout=600)


def test_a_missing_connection_is_told_in_seconds(tmp_path: Path) -> None:
    """Of CPU, so that a busy machine does not matter; Airflow's own start takes most of it."""
    assert airflow(tmp_path, "db", "migrate").returncode == 0
    before = os.times()
    done = airflow(tmp_path, "dags", "test", "example_ray_job")
    after = os.times()
    told = done.stdout + done.stderr
    assert "there is no connection 'ray_default'" in told and "airflow connections add ray_default" in told
    assert after.children_user - before.children_user < 30
    assert "up_for_retry" not in told.lower()


def test_deferred_tasks_end_with_the_results_of_their_jobs(ray_head: RayHead, tmp_path: Path) -> None:
    outcome_file = tmp_path / "outcome.json"
    env = environment(tmp_path)
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
