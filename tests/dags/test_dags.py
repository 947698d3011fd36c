"""The DAG files: they parse, quickly and lightly, and say what the design says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from videobert.errors import EMPTY_BATCH_EXIT_CODE
from videobert.runtime.job_result import BatchResult, JobResult
from videobert.stages import stage_names

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("av", "duckdb", "numpy", "onnxruntime", "pyarrow", "ray", "s3fs", "torch", "transformers")

SUNDAY_MORNING = "2026-11-22T05:00:00Z"

_SCRIPT = """
import json, sys, time
import airflow.sdk, aiohttp, fsspec  # Airflow itself is not ours to time
from airflow.dag_processing.dagbag import DagBag
from airflow_ray_jobs.ray_job import RayJobOperator
sys.path.insert(0, {folder!r})  # as every Airflow process does
heavy_before = [m for m in {heavy!r} if m in sys.modules]
started = time.process_time()
bag = DagBag({folder!r})
seconds = time.process_time() - started
dags = {{
    dag.dag_id: {{
        "edges": sorted([t.task_id, d] for t in dag.tasks for d in t.downstream_task_ids),
        "entrypoints": {{t.task_id: " ".join(t.entrypoint) for t in dag.tasks if isinstance(t, RayJobOperator)}},
        "retries": {{t.task_id: t.retries for t in dag.tasks}},
        "outlets": {{t.task_id: [o.name for o in t.outlets] for t in dag.tasks}},
        "timetable": type(dag.timetable).__name__,
        "told": [
            bool(dag.on_failure_callback) + bool(dag.on_success_callback),
            [alert.interval.total_seconds() / 3600 for alert in dag.deadline or ()],
        ],
        "docs": bool(dag.doc_md), "owner": dag.default_args["owner"], "catchup": dag.catchup,
        "empty_days": [t.skip_on_exit_code for t in dag.tasks if isinstance(t, RayJobOperator)],
        "deadlines": {{t.task_id: t.deadline is not None for t in dag.tasks if isinstance(t, RayJobOperator)}},
        "start_date": dag.start_date and dag.start_date.isoformat(),
        "pools": sorted({{t.pool for t in dag.tasks}}), "max_active_runs": dag.max_active_runs,
        "shares": {{
            t.task_id: [" ".join(words) for words in t.expand_input.value["entrypoint"]]
            for t in dag.tasks if hasattr(t, "expand_input")
        }},
    }}
    for dag in bag.dags.values()
}}
heavy = [m for m in {heavy!r} if m in sys.modules and m not in heavy_before]

import pendulum
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables import trigger
from airflow.timetables.base import TimeRestriction
trigger.utcnow = lambda: pendulum.parse({now!r})
train = decode_timetable(json.loads(json.dumps(encode_timetable(bag.dags["videobert_train"].timetable))))
first = train.next_dagrun_info(last_automated_data_interval=None, restriction=TimeRestriction(None, None, False))
week = {{}}
if dags["videobert_train"]["timetable"] == "PartitionedAssetTimetable":  # as the scheduler asks it
    mapper = train.get_partition_mapper(name="videobert_days", uri="x-videobert://days")
    days = ["2026-01-%02d" % day for day in range(4, 13)]  # Sunday to Monday
    week = {{day: mapper.to_downstream(day) for day in days}}
    expected = mapper.to_upstream("2026-01-05")
    is_satisfied = mapper.wait_policy.is_satisfied_by_keys
    week["complete"] = [is_satisfied(matched=set(days[:n]), expected=expected).satisfied for n in (8, 7)]
result = {{"errors": bag.import_errors, "dags": dags, "seconds": seconds, "heavy": heavy}}
print(json.dumps(result | {{"first_training": first and first.run_after.isoformat(), "week": week}}))
"""


def parse(folder: Path, **settings: str) -> dict[str, Any]:
    """The DAG folder as a fresh process parses it."""
    env = dict(os.environ) | {
        "AIRFLOW_HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "VIDEOBERT_ROOT": "s3://bucket/root", "VIDEOBERT_RECIPE": "demo",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }  # fmt: skip
    code = _SCRIPT.format(heavy=HEAVY, folder=str(ROOT / "dags"), now=SUNDAY_MORNING)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, env=env | settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """With the settings of a small deployment."""
    return parse(tmp_path_factory.mktemp("airflow"))


def test_no_import_error(parsed: dict[str, Any]) -> None:
    assert parsed["errors"] == {}
    names = ("embed", "finetune", "ingest", "predict", "sweep", "train")
    assert sorted(parsed["dags"]) == [f"videobert_{name}" for name in names]


def test_parsing_is_light(parsed: dict[str, Any]) -> None:
    assert parsed["heavy"] == []
    assert parsed["seconds"] < 1, "of CPU, so that a busy machine does not matter; 0.07 when it was written"


def test_edges_follow_the_stages(parsed: dict[str, Any]) -> None:
    assert parsed["dags"]["videobert_ingest"]["edges"] == [["ingest", "shard"], ["shard", "features"]]
    assert parsed["dags"]["videobert_embed"]["edges"] == [["model_is_promoted", "tokens"], ["tokens", "embed"]]
    assert parsed["dags"]["videobert_train"]["edges"] == [
        ["codebook", "tokens"], ["embed", "promote"], ["evaluate", "gates"], ["gates", "tokens_of_every_batch"],
        ["pretrain", "evaluate"], ["tokens", "pretrain"], ["tokens_of_every_batch", "embed"],
    ]  # fmt: skip


def test_a_task_is_learnt_and_answers(parsed: dict[str, Any]) -> None:
    tuned, predict = parsed["dags"]["videobert_finetune"], parsed["dags"]["videobert_predict"]
    assert tuned["edges"] == [["finetune", "predict_of_every_batch"], ["labels_are_named", "finetune"]]
    assert predict["edges"] == [["tuned_model", "predict"]]
    assert (tuned["timetable"], predict["timetable"]) == ("AssetTriggeredTimetable", "PartitionedAssetTimetable")
    assert "--model current" in tuned["entrypoints"]["finetune"]
    assert "--task {{ ti.xcom_pull(task_ids='tuned_model') }}" in predict["entrypoints"]["predict"]


def test_batches_are_partitions_and_assets_carry_them_on(parsed: dict[str, Any]) -> None:
    ingest, embed = parsed["dags"]["videobert_ingest"], parsed["dags"]["videobert_embed"]
    assert ingest["timetable"] == "CronPartitionTimetable"
    assert embed["timetable"] == "PartitionedAssetTimetable"
    assert ingest["outlets"]["features"] == ["videobert_features"]
    assert "--batch {{ (dag_run.partition_key or params.batch) | batch_key }}" in ingest["entrypoints"]["features"]


def test_enabling_the_training_starts_none(parsed: dict[str, Any]) -> None:
    """Airflow runs the last one there was, if it is less than a tenth of the interval ago: a Sunday's until evening."""
    assert parsed["first_training"] == "2026-11-29T03:00:00+00:00"


@pytest.mark.parametrize(("cron", "first"), [("30 4 * * *", "2026-11-23T04:30:00+00:00"), ("none", None)])
def test_training_is_scheduled_as_wished(tmp_path: Path, cron: str, first: str | None) -> None:
    found = parse(tmp_path, VIDEOBERT_TRAIN_CRON=cron)
    assert (found["errors"], found["first_training"]) == ({}, first)


def test_a_complete_week_starts_a_training_where_it_is_wished(tmp_path: Path) -> None:
    """The mapper as the scheduler gets it; the run itself is in tests/orchestration."""
    found = parse(tmp_path, VIDEOBERT_TRAIN_AFTER="week")
    assert (found["errors"], found["first_training"]) == ({}, None)
    assert ["features", "day_is_done"] in found["dags"]["videobert_ingest"]["edges"]
    assert found["dags"]["videobert_ingest"]["outlets"]["day_is_done"] == ["videobert_days"]
    days = [f"2026-01-{day:02}" for day in range(4, 13)]
    mondays = ["2025-12-29", *["2026-01-05"] * 7, "2026-01-12"]
    assert found["week"] == dict(zip(days, mondays, strict=True)) | {"complete": [True, False]}


@pytest.mark.parametrize(
    ("after", "cron", "told"), [("month", "none", "set it to week"), ("week", "0 3 * * 0", "are both set")]
)
def test_a_training_has_one_schedule(tmp_path: Path, after: str, cron: str, told: str) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import videobert_train"
    with pytest.raises(AssertionError, match=told):
        run_python(tmp_path, code, VIDEOBERT_TRAIN_AFTER=after, VIDEOBERT_TRAIN_CRON=cron)


def test_every_stage_is_one_command_of_the_cli(parsed: dict[str, Any]) -> None:
    for dag in parsed["dags"].values():
        for task, entrypoint in dag["entrypoints"].items():
            verb = f"stage {task.removesuffix('_of_every_batch')} " if task != "promote" else "models --promote "
            assert entrypoint.startswith(f"python -m videobert {verb}")
            assert "--root s3://bucket/root" in entrypoint


def test_on_call_finds_owner_docs_deadlines_and_retries(parsed: dict[str, Any]) -> None:
    for dag in parsed["dags"].values():
        assert dag["docs"] and dag["owner"] and not dag["catchup"]
        assert all(dag["deadlines"].values())
        # A model that misses its gates misses them the second time too.
        assert all(retries >= 1 for task, retries in dag["retries"].items() if task != "gates")


def test_nobody_is_told_and_no_run_is_late_unless_somebody_wishes(parsed: dict[str, Any]) -> None:
    """As for approvals, which the edges show."""
    assert {name: dag["told"] for name, dag in parsed["dags"].items()} == {name: [0, []] for name in parsed["dags"]}


def test_a_day_without_videos_is_skipped(parsed: dict[str, Any]) -> None:
    assert set(parsed["dags"]["videobert_ingest"]["empty_days"]) == {EMPTY_BATCH_EXIT_CODE}


def test_unpausing_starts_no_run_of_its_own(parsed: dict[str, Any]) -> None:
    """With a start date, Airflow would at once run the last day's partition, for which no videos may lie there yet."""
    assert {dag["start_date"] for dag in parsed["dags"].values()} == {None}


def test_without_a_root_no_dag_is_there_and_the_error_names_the_setting(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import json\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        "bag = DagBag(sys.argv[1])\nprint(json.dumps([sorted(bag.dags), bag.import_errors]))"
    )
    for value in ("", " "):
        dags, errors = json.loads(run_python(tmp_path, code, VIDEOBERT_ROOT=value).splitlines()[-1])
        assert dags == ["videobert_sweep"]  # which needs none
        assert len(errors) == 5 and all("VIDEOBERT_ROOT is not set" in error for error in errors.values())


@pytest.mark.parametrize(
    ("variable", "value", "flag"),
    [
        ("VIDEOBERT_OPTIONS_EMBED", "--embed.pool cls", "--embed.pool"),
        ("VIDEOBERT_OPTIONS_FEATURES", "--executor.workers 2 --features.fps=10", "--features.fps"),
        ("VIDEOBERT_OPTIONS_FEATURES", "--features.decoder nvdec", "--features.decoder"),
        ("VIDEOBERT_OPTIONS", "--shard.shard-bytes 400000", "--shard.shard-bytes"),
        ("VIDEOBERT_OPTIONS", "--recipe paper", "--recipe"),
    ],
)
def test_an_option_that_changes_what_one_stage_writes_is_refused(
    tmp_path: Path, variable: str, value: str, flag: str
) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\nimport videobert_common as common\n"
        "print([common._stage_command(stage, '', ()) for stage in ('features', 'embed')])"
    )
    with pytest.raises(AssertionError) as caught:
        run_python(tmp_path, code, **{variable: value})
    assert f"{variable} holds {flag}, which would change" in str(caught.value)
    assert "VIDEOBERT_RECIPE" in str(caught.value)


def test_a_variable_of_no_stage_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\nimport videobert_common as common\n"
        "common._stage_command('embed', '', ())"
    )
    with pytest.raises(AssertionError, match=r"FEATRUES is set and there is no such stage.*_FEATURES"):
        run_python(tmp_path, code, VIDEOBERT_OPTIONS_FEATRUES="--executor.workers 2")


@pytest.fixture(scope="module")
def option_checks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Variable -> flag -> what the parse of the DAG that runs this stage says of it; empty: taken."""
    code = """
import dataclasses, json, os, sys; sys.path.insert(0, sys.argv[1])
from airflow.dag_processing.dagbag import DagBag
from videobert.stages import all_stages
flags = [f"--{s.name}.{f.name.replace('_', '-')}" for s in all_stages() for f in dataclasses.fields(s.config)]
import videobert_common as common
def told(variable, flag):
    try:
        common._options(variable, flag + " x")
    except common.InputError as error:
        return str(error)
    return ""
found = {"VIDEOBERT_OPTIONS": {flag: told("VIDEOBERT_OPTIONS", flag) for flag in flags}}
for stage in all_stages():
    variable = f"VIDEOBERT_OPTIONS_{stage.name.upper()}"
    os.environ[variable] = "--executor.workers 2 --embed.pool cls"
    found[variable] = {"--embed.pool": " ".join(DagBag(sys.argv[1]).import_errors.values())}
    del os.environ[variable]
print(json.dumps(found))
"""
    told = run_python(tmp_path_factory.mktemp("options"), code)
    found: dict[str, dict[str, str]] = json.loads(told.splitlines()[-1])
    return found


@pytest.mark.parametrize("stage", stage_names())
def test_the_variable_of_every_stage_is_looked_at_when_its_dag_is_parsed(
    option_checks: dict[str, dict[str, str]], stage: str
) -> None:
    variable = f"VIDEOBERT_OPTIONS_{stage.upper()}"
    assert f"{variable} holds --embed.pool, which would change" in option_checks[variable]["--embed.pool"]


def test_just_the_fields_of_no_spec_are_taken(option_checks: dict[str, dict[str, str]]) -> None:
    """Written out: a field that joins them is a decision."""
    assert {flag for flag, told in option_checks["VIDEOBERT_OPTIONS"].items() if not told} == {
        "--ingest.source", "--ingest.limits", "--features.device", "--features.batch-clips", "--features.limits",
        "--features.chunk-minutes", "--features.decode-ahead",
        "--codebook.device", "--codebook.worker-clips", "--pretrain.keep-checkpoints", "--embed.device",
        "--finetune.checkpoint-every-steps", "--predict.device",
    }  # fmt: skip


def test_an_option_that_changes_no_result_is_taken(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\nimport videobert_common as common\n"
        "print(' '.join(common._stage_command('features', '', ())))"
    )
    options = "--ingest.source 's3://b/{batch}' --features.device cuda"
    told = run_python(tmp_path, code, VIDEOBERT_OPTIONS=options, VIDEOBERT_OPTIONS_FEATURES="--executor.workers=2")
    assert told.strip().endswith("--ingest.source s3://b/{batch} --features.device cuda --executor.workers=2")


def test_a_cleared_task_insists_on_a_job_and_a_lost_one_does_not(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\nfrom types import SimpleNamespace as Some\n"
        "import videobert_ingest as dags\ntask = dags.dag.get_task('features')\n"
        "tries = [Some(try_number=1, max_tries=2), Some(try_number=2, max_tries=2), Some(try_number=2, max_tries=3)]\n"
        "environment = dags.dag.get_template_env()\n"
        "print([task.render_template(task.force, {'ti': ti, 'task': task}, environment) for ti in tries])"
    )
    assert run_python(tmp_path, code).splitlines()[-1] == "['False', 'False', 'True']"


def test_the_events_of_a_reused_result_have_its_counts_too(tmp_path: Path) -> None:
    """They end the task: what fails there fails it, and the retry then starts a job for nothing."""
    result = JobResult(
        submission_id="a-a1", stage="features", spec="features-1", seconds=1.0, inputs=(), outputs=(), fingerprint=None,
        results=(
            BatchResult(batch="2026-01-01", manifest="m", digest="d", counts={"videos": 3}, seconds=1.0, computed=True),
        ),
    )  # fmt: skip
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1])\nfrom types import SimpleNamespace as Some\n"
        "from collections import defaultdict\nimport videobert_ingest as dags\ntask = dags.dag.get_task('features')\n"
        f"result = json.loads({result.to_json()!r})\n"
        "for reused in ({}, {'reused': True}):\n"
        "    keys = []\n    events = defaultdict(lambda: Some(add_partitions=keys.append))\n"
        "    run = Some(partition_key='2026-01-01')\n"
        "    task._post_execute_hook({'task': task, 'dag_run': run, 'outlet_events': events}, result | reused)\n"
        "    print([event.extra['counts'] for event in events.values()], keys)"
    )
    assert run_python(tmp_path, code).splitlines()[-2:] == ["[{'videos': 3}] ['2026-01-01']"] * 2


def run_python(folder: Path, code: str, **settings: str) -> str:
    """Output of a fresh process that gets the folder of the DAGs as its argument."""
    env = dict(os.environ) | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "VIDEOBERT_ROOT": "r",
    }
    command = [sys.executable, "-W", "ignore", "-c", code, str(ROOT / "dags")]
    done = subprocess.run(command, cwd=ROOT, env=env | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_huge_batch_is_split_over_several_jobs_in_a_pool(tmp_path: Path) -> None:
    found = parse(
        tmp_path, VIDEOBERT_SHARES="3", VIDEOBERT_POOL="ray", VIDEOBERT_MAX_ACTIVE_RUNS="7",
        VIDEOBERT_OPTIONS="--executor.workers 4", VIDEOBERT_OPTIONS_FEATURES="--executor.gpus-per-worker 0.5",
        VIDEOBERT_EMPTY_DAY="fail",
    )  # fmt: skip
    ingest = found["dags"]["videobert_ingest"]
    assert set(ingest["empty_days"]) == {None}  # a day without videos fails, where that was asked for
    assert ingest["edges"] == [["features_share", "features"], ["ingest", "shard"], ["shard", "features_share"]]
    shares = ingest["shares"]["features_share"]
    assert [f"--share {index}/3" in share for index, share in enumerate(shares, 1)] == [True] * 3
    assert all("--executor.gpus-per-worker 0.5" in share for share in shares)
    assert "gpus" not in ingest["entrypoints"]["shard"] and "--executor.workers 4" in ingest["entrypoints"]["shard"]
    assert ingest["pools"] == ["ray"] and ingest["max_active_runs"] == 7
