"""No value that a user wrote is read by a shell: every DAG, every task, every variable of a template."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from videobert.batch_key import BATCH_KEY
from videobert.cli.main import parse_command

ROOT = Path(__file__).resolve().parents[2]

HOSTILE = (
    "$(touch {0})", "`touch {0}`", "'; touch {0}; '", '"; touch {0}; "', "a && touch {0}", "a\ntouch {0}",
    "2026-01-01 --root /elsewhere", "-rf", "../../etc", "a/b", "ключ", "k" * 300,
)  # fmt: skip

RENDER = """
import json, sys
from types import SimpleNamespace
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException
from airflow_ray_jobs.arguments import job_command
from airflow_ray_jobs.ray_job import RayJobOperator

folder, hostile, guarded = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3] == "guarded"
sys.path.insert(0, folder)
bag = DagBag(folder)
assert not bag.import_errors, bag.import_errors


def texts(value):
    ti = SimpleNamespace(try_number=1, xcom_pull=lambda **_: {"spec": value})
    context = {"dag_run": SimpleNamespace(partition_key=value), "params": {"batch": value, "batches": value}, "ti": ti}
    for dag in bag.dags.values():
        for task in dag.tasks:
            environment = dag.get_template_env()
            if not guarded:  # as if the check of the keys were not there
                environment.filters |= {name: (lambda text: text) for name in dag.user_defined_filters or {}}
            if isinstance(task, RayJobOperator):
                commands = [task.entrypoint]
            elif hasattr(task, "expand_input"):
                commands = task.expand_input.value["entrypoint"]
            else:
                continue
            for command in commands:
                try:
                    words = task.render_template(command, context, environment)
                except AirflowFailException as error:
                    yield {"task": f"{dag.dag_id}.{task.task_id}", "refused": str(error)}
                    continue
                yield {"task": f"{dag.dag_id}.{task.task_id}", "words": words, "command": job_command(words)}


print(json.dumps([list(texts(value)) for value in hostile]))
"""


def rendered(tmp_path: Path, values: list[str], guarded: str, **settings: str) -> list[list[dict[str, Any]]]:
    env = dict(os.environ) | {
        "AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "VIDEOBERT_ROOT": "s3://b/r",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "VIDEOBERT_SHARES": "2", "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "VIDEOBERT_APPLICATIONS": "anomalies; moderate --rules r.toml; recommend --popular",
        "VIDEOBERT_APPLICATIONS_OUT": "s3://b/tables",
    }  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-c", RENDER, str(ROOT / "dags"), json.dumps(values), guarded]
    done = subprocess.run(command, cwd=ROOT, env=env | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[list[dict[str, Any]]] = json.loads(done.stdout.splitlines()[-1])
    return found


def words_of(command: str) -> list[str]:
    """What a real shell makes of a command: each word that a program would get."""
    done = subprocess.run(["/bin/sh", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def test_every_task_refuses_a_key_that_is_none(tmp_path: Path) -> None:
    values = [value.format(tmp_path / "marker") for value in HOSTILE]
    for value, found in zip(values, rendered(tmp_path, values, "guarded"), strict=True):
        assert (
            len(found) == 3 + 2 + 2 + 7 + 2 + 1 + 3
        )  # ingest, its shares, embed, train, finetune, predict, applications
        for one in found:
            if one.get("refused"):
                assert "is no key" in one["refused"] and len(one["refused"]) < 500
            else:  # a spec, or no value at all
                assert "--batch" not in one["words"], one
                assert words_of(one["command"]) == one["words"]
        refused = {one["task"] for one in found if one.get("refused")}
        assert {"videobert_ingest.ingest", "videobert_ingest.features_share", "videobert_embed.embed",
                "videobert_train.codebook", "videobert_finetune.finetune", "videobert_predict.predict",
                "videobert_applications.anomalies", "videobert_applications.moderate",
                "videobert_applications.recommend"} <= refused, value  # fmt: skip


def test_without_that_check_the_quotes_alone_hold(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    values = [value.format(marker) for value in HOSTILE]
    settings = {
        "VIDEOBERT_ROOT": f"/data/$(touch {marker})/my root", "VIDEOBERT_RECIPE": f"`touch {marker}`",
        "VIDEOBERT_OPTIONS": f"--ingest.source '/videos/$(touch {marker})/{{batch}}'",
    }  # fmt: skip
    for value, found in zip(values, rendered(tmp_path, values, "bare", **settings), strict=True):
        assert any(value in one["words"] for one in found)
        for one in found:
            assert words_of(one["command"]) == one["words"]
            assert settings["VIDEOBERT_ROOT"] in one["words"]
            assert settings["VIDEOBERT_RECIPE"] in one["words"] or one["task"].startswith("videobert_applications.")
    assert not marker.exists()


@pytest.mark.parametrize("file", sorted((ROOT / "dags").glob("*.py")), ids=lambda file: file.stem)
def test_no_template_outside_a_list_of_words(file: Path) -> None:
    """A rendered string would reach the shell as it is."""
    assert not re.search(r"entrypoint=\w*[\"']", file.read_text())


def params(dag_source: str) -> Any:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'dags')!r}); import json, videobert_common as c\n"
        f"print(json.dumps([c.{dag_source}.schema]))"
    )
    env = dict(os.environ) | {"VIDEOBERT_ROOT": "x"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])[0]


@pytest.mark.parametrize("name", ["BATCH_PARAM", "BATCHES_PARAM"])
def test_the_trigger_form_and_the_rest_api_refuse_it_first(name: str, tmp_path: Path) -> None:
    import jsonschema

    schema = params(name)
    assert BATCH_KEY in schema["pattern"]
    many = ["2026-01-01,late-uploads", "a, b"] if name == "BATCHES_PARAM" else []
    for good in ("", "2026-01-01", "late-uploads", "k" * 100, *many):
        jsonschema.validate(good, schema)
    for bad in (*(value.format("x") for value in HOSTILE), "a\n", "\n", "k" * 101, "a,,b", ",", "a b"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


def test_applications_are_jobs_of_their_own(tmp_path: Path) -> None:
    (found,) = rendered(
        tmp_path, ["2026-01-01"], "guarded", VIDEOBERT_APPLICATIONS="anomalies --per-hour 6; moderate --rules r.toml",
        VIDEOBERT_APPLICATIONS_OUT="s3://b/tables/",
    )  # fmt: skip
    words = {job["task"]: job["words"] for job in found if job["task"].startswith("videobert_applications.")}
    assert words["videobert_applications.anomalies"] == [
        "python", "-m", "videobert", "anomalies", "--root", "s3://b/r", "--batch", "2026-01-01",
        "--out", "s3://b/tables/anomalies/2026-01-01.parquet", "--per-hour", "6",
    ]  # fmt: skip
    for command in words.values():
        assert parse_command(command[3:])
    assert set(words) == {"videobert_applications.anomalies", "videobert_applications.moderate"}
