"""What the DAGs share: settings from the environment, assets, and one function that makes a stage a Ray job.

VIDEOBERT_ROOT      where everything is written, for example s3://bucket/videobert
VIDEOBERT_RECIPE    the one configuration: `own` (default), `demo`, `paper`, a TOML file, or module:function
VIDEOBERT_OPTIONS   more flags for every job that change no result, for example `--executor.workers 4`
VIDEOBERT_OPTIONS_FEATURES, ..._PRETRAIN and so on: the same for the jobs of one stage, for example its GPUs
VIDEOBERT_SHARES   Ray jobs that share the features of one batch; 1 by default
VIDEOBERT_MAX_ACTIVE_RUNS   batches at once in each DAG, when no backfill says otherwise; 2 by default
VIDEOBERT_SWEEP_CRON   when to look for Ray jobs that nobody waits for; every ten minutes by default; `none`: never
VIDEOBERT_TRAIN_CRON   when to train, in UTC; `0 3 * * 0`, Sundays at 3, by default; `none`: by hand only
VIDEOBERT_EMPTY_DAY   what a run for a day without videos is: `skip` (default), or `fail` where every day must have some
VIDEOBERT_APPLICATIONS   what looks at the embeddings of every batch, for example
                    `anomalies --per-hour 6; moderate --rules s3://bucket/rules.toml`; empty: nothing
VIDEOBERT_APPLICATIONS_OUT   where their tables go, outside the root, for example s3://bucket/applications
VIDEOBERT_POOL      Airflow pool of every Ray job; one that counts deferred tasks bounds the jobs of all DAGs together
RAY_ADDRESS_URL     dashboard of the cluster; empty: the Airflow connection `ray_default`
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable, Param
from airflow.sdk.exceptions import AirflowFailException

from airflow_ray_jobs.ray_job import RayJobOperator
from videobert.batch_key import BATCH_KEY, check_batch_key, parse_batch_keys
from videobert.errors import EMPTY_BATCH_EXIT_CODE, InputError
from videobert.recipes import DEFAULT_RECIPE
from videobert.runtime.job_result import JobResult
from videobert.runtime.spec import fields_outside_spec
from videobert.stages import BatchStage, all_stages, get_stage

__all__ = [
    "BATCH", "BATCHES", "BATCHES_PARAM", "BATCH_PARAM", "DEFAULT_ARGS", "EMBEDDINGS", "FEATURES", "FILTERS",
    "MAX_ACTIVE_RUNS", "MODEL", "application_commands", "application_job", "executor_options", "last_batch",
    "ray_job", "root", "share_jobs", "stage_job", "sweep_schedule", "training_schedule",
]  # fmt: skip

FEATURES = Asset(name="videobert_features", uri="x-videobert://features")
MODEL = Asset(name="videobert_model", uri="x-videobert://model")
EMBEDDINGS = Asset(name="videobert_embeddings", uri="x-videobert://embeddings")
_ASSETS = {"features": FEATURES, "embeddings": EMBEDDINGS}

BATCH = "{{ (dag_run.partition_key or params.batch) | batch_key }}"
"""The batch of a partitioned run; `params.batch` serves names that are no day, and `dag.test()`."""

BATCHES = "{{ params.batches | batch_keys }}"
"""The batches of a training; empty: all there are."""

# `$` alone would take a line break at the end.
BATCH_PARAM = Param(
    "",
    type="string",
    pattern=f"^({BATCH_KEY})?$(?!\\n)",
    description="Batch key, where the run has no partition: letters, digits, '.', '_' and '-'.",
)
BATCHES_PARAM = Param(
    "",
    type="string",
    pattern=f"^({BATCH_KEY}(, ?{BATCH_KEY})*)?$(?!\\n)",
    description="Batch keys to train on, separated by commas; empty: all there are.",
)


def _or_fail(check: Callable[[str], str]) -> Callable[[str], str]:
    """A check as a filter of templates: a value that it refuses fails the task, and no retry can mend it."""

    def checked(value: str) -> str:
        try:
            return check(value)
        except InputError as error:
            raise AirflowFailException(str(error)) from error

    return checked


FILTERS = {
    "batch_key": _or_fail(check_batch_key),
    "batch_keys": _or_fail(lambda text: ",".join(parse_batch_keys(text))),
}
"""For `user_defined_filters`: an asset event may bring any partition key, which no Param has looked at."""

DEFAULT_ARGS = {
    "owner": os.environ.get("VIDEOBERT_OWNER", "videobert"),
    "retries": 2,
    "retry_delay": timedelta(seconds=int(os.environ.get("VIDEOBERT_RETRY_SECONDS", "60"))),
    "pool": os.environ.get("VIDEOBERT_POOL", "default_pool"),
}
_ONLY_IF_CHANGED = {
    "is_up_to_date": "videobert.admin.freshness.is_up_to_date",
    "force": "{{ ti.max_tries > task.retries }}",
}
"""No job where the last one's result stands, unless somebody cleared the task: Airflow raises `max_tries` with each
Clear. `try_number` also grows when a busy scheduler loses a task and queues it anew, which is no wish for a job."""

MAX_ACTIVE_RUNS = int(os.environ.get("VIDEOBERT_MAX_ACTIVE_RUNS", "2"))


def root() -> str:
    """Root of the pipeline. Raises InputError where nobody has said it: the DAG file then shows as an import error."""
    found = os.environ.get("VIDEOBERT_ROOT", "").strip()
    if not found:
        raise InputError(
            "VIDEOBERT_ROOT is not set; set it to where everything is written, such as s3://bucket/videobert, in the "
            "environment of DAG processor, workers and triggerer"
        )
    return found


def last_batch() -> datetime | None:
    """Day of the last batch that the daily schedule runs; backfills may reach it too."""
    day = os.environ.get("VIDEOBERT_LAST_BATCH", "")
    return datetime.fromisoformat(day).replace(tzinfo=UTC) if day else None


def training_schedule() -> CronTriggerTimetable | None:
    """When `videobert_train` starts by itself; never at once.

    Without `run_immediately` (False is taken as None), a DAG enabled on a Sunday would start the run of that morning.
    """
    cron = os.environ.get("VIDEOBERT_TRAIN_CRON", "0 3 * * 0")
    return None if cron == "none" else CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(0))


def sweep_schedule() -> CronTriggerTimetable | None:
    """When `videobert_sweep` starts by itself."""
    cron = os.environ.get("VIDEOBERT_SWEEP_CRON", "*/10 * * * *")
    return None if cron == "none" else CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(0))


def stage_job(stage: str, *, batch: str = "", flags: Sequence[str] = (), **kwargs: Any) -> RayJobOperator:
    """A stage of the flow as one Ray job. `batch` and `flags` may hold templates; what they render to is quoted."""
    declared = get_stage(stage)
    if batch == BATCH:
        kwargs |= _ONLY_IF_CHANGED
    if declared.asset:
        kwargs["outlets"] = [_ASSETS[declared.asset]]
    task = RayJobOperator(
        entrypoint=_stage_command(stage, batch, flags),
        post_execute=_AssetFacts(batch),
        **_settings(timedelta(hours=declared.hours)) | {"task_id": stage} | kwargs,
    )
    task.doc_md = (
        f"**{stage}**: {declared.summary}. One Ray job; what is committed is not computed again, and no job "
        "starts where nothing has changed since the last one. A cleared task always starts one."
    )
    return task


def share_jobs(stage: str, *, batch: str) -> list[Any]:
    """VIDEOBERT_SHARES Ray jobs that split the shards of a batch, as one mapped task; none where one job does all.

    The stage's own job comes after them: it finds their shards done, does what is missing, and commits.
    """
    count = int(os.environ.get("VIDEOBERT_SHARES", "1"))
    declared = get_stage(stage)
    if count == 1 or not (isinstance(declared, BatchStage) and declared.can_be_shared):
        return []
    settings = _settings(timedelta(hours=declared.hours)) | _ONLY_IF_CHANGED
    jobs = RayJobOperator.partial(task_id=f"{stage}_share", **settings)
    commands = [_stage_command(stage, batch, ["--share", f"{index}/{count}"]) for index in range(1, count + 1)]
    return [jobs.expand(entrypoint=commands)]


def ray_job(task_id: str, command: Sequence[str], *, deadline: timedelta, **kwargs: Any) -> RayJobOperator:
    """A command of `videobert` as one Ray job that leaves no result."""
    settings = _settings(deadline) | {"result_uri": None}
    return RayJobOperator(task_id=task_id, entrypoint=[*_VIDEOBERT, *command, *_where()], **settings, **kwargs)


_APPLICATIONS = ("anomalies", "moderate", "recommend")
"""Those that look at a batch and write a table."""


def application_commands() -> list[list[str]]:
    """The words of each application to run. Raises InputError for one that is no batch work, or without a place."""
    commands = [shlex.split(part) for part in os.environ.get("VIDEOBERT_APPLICATIONS", "").split(";") if part.strip()]
    for name, *_ in commands:
        if name not in _APPLICATIONS or [command[0] for command in commands].count(name) > 1:
            raise InputError(
                f"VIDEOBERT_APPLICATIONS names {name!r}; name each of {', '.join(_APPLICATIONS)} once at most"
            )
    if commands and not os.environ.get("VIDEOBERT_APPLICATIONS_OUT", "").strip():
        raise InputError(
            "VIDEOBERT_APPLICATIONS_OUT is not set; say where the tables go, such as s3://bucket/applications"
        )
    return commands


def application_job(command: Sequence[str]) -> RayJobOperator:
    """An application over the batch of a run, as one Ray job that writes OUT/NAME/BATCH.parquet."""
    name, *options = command
    target = f"{os.environ['VIDEOBERT_APPLICATIONS_OUT'].strip().rstrip('/')}/{name}/{BATCH}.parquet"
    words = [*_VIDEOBERT, name, "--root", root(), "--batch", BATCH, "--out", target, *options]
    task = RayJobOperator(task_id=name, entrypoint=words, **_settings(timedelta(hours=2)) | {"result_uri": None})
    task.doc_md = f"**{name}** over the batch, with the promoted model. See `docs/applications/{name}.md`."
    return task


_VIDEOBERT = ("python", "-m", "videobert")


def _stage_command(stage: str, batch: str, flags: Sequence[str]) -> list[str]:
    """Words, each quoted by the operator once it is rendered: no value is ever read by a shell."""
    return [
        *_VIDEOBERT, "stage", stage, "--executor.kind", "ray", *(("--batch", batch) if batch else ()), *flags,
        *_where(), *_options_of(stage),
    ]  # fmt: skip


def executor_options(stage: str) -> list[str]:
    """Those of a stage's flags that say where it runs, for a command that runs it among other things."""
    words: list[str] = []
    taken = False
    for word in _options_of(stage):
        taken = word.startswith("--executor.") if word.startswith("--") else taken
        words += [word] if taken else []
    return words


def _options_of(stage: str) -> list[str]:
    """Those for every job, then those of the stage. Raises InputError for a variable of a stage that does not exist."""
    of_stages = [f"VIDEOBERT_OPTIONS_{each.name.upper()}" for each in all_stages()]
    strays = sorted(name for name in os.environ if name.startswith("VIDEOBERT_OPTIONS_") and name not in of_stages)
    if strays:
        raise InputError(f"{strays[0]} is set and there is no such stage; the variables are {', '.join(of_stages)}")
    return [
        *_options("VIDEOBERT_OPTIONS", os.environ.get("VIDEOBERT_OPTIONS", "")),
        *_options(f"VIDEOBERT_OPTIONS_{stage.upper()}", os.environ.get(f"VIDEOBERT_OPTIONS_{stage.upper()}", "")),
    ]


def _options(variable: str, value: str) -> list[str]:
    """The flags of a variable. Raises InputError for one that changes what is written.

    Such a flag would hold for the jobs of one stage, or for all but the promotion: the others would look for results
    of another configuration, in vain or, worse, take older ones.
    """
    words = shlex.split(value)
    for word in words:
        flag = word.partition("=")[0]
        section, _, field = flag.removeprefix("--").replace("-", "_").partition(".")
        if not flag.startswith("--") or section == "executor":
            continue
        unchanging = {stage.name: fields_outside_spec(stage.config) for stage in all_stages()}
        if field.partition(".")[0] not in unchanging.get(section, ()):
            raise InputError(
                f"{variable} holds {flag}, which would change what one stage writes and not what the others look for; "
                "say it once, in a recipe of your own (a TOML file, or module:function) that VIDEOBERT_RECIPE names"
            )
    return words


def _where() -> list[str]:
    return ["--root", root(), "--recipe", os.environ.get("VIDEOBERT_RECIPE", DEFAULT_RECIPE)]


def _skips_empty_days() -> bool:
    wanted = os.environ.get("VIDEOBERT_EMPTY_DAY", "skip")
    if wanted not in ("skip", "fail"):
        raise InputError(f"VIDEOBERT_EMPTY_DAY is {wanted!r}; set it to skip or fail")
    return wanted == "skip"


def _settings(deadline: timedelta) -> dict[str, Any]:
    return {
        "address": os.environ.get("RAY_ADDRESS_URL") or None,
        "result_uri": f"{root()}/runs/{{submission_id}}.json",
        "poll_seconds": float(os.environ.get("VIDEOBERT_POLL_SECONDS", "5")),
        "defer_after": timedelta(seconds=float(os.environ.get("VIDEOBERT_DEFER_SECONDS", "20"))),
        "deadline": deadline,
        "skip_on_exit_code": EMPTY_BATCH_EXIT_CODE if _skips_empty_days() else None,
        # The command says all: two runs that want the same at the same time watch one job.
        "job_key": "videobert",
        # The stage finds for itself what is committed.
        "force": True,
    }


class _AssetFacts:
    """Gives the asset events of a task the counts of its result, and the batch as their partition.

    A run that was triggered by hand for a key that is no day has no partition of its own: its events do.
    """

    def __init__(self, batch: str) -> None:
        self._of_one_batch = batch == BATCH

    def __call__(self, context: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        # The operator says so of a result that it found; the record itself is that of the job.
        job = JobResult.from_mapping({name: value for name, value in result.items() if name != "reused"})
        for asset in context["task"].outlets:
            event = context["outlet_events"][asset]
            event.extra = {"spec": job.spec, "counts": job.counts}
            if self._of_one_batch:
                event.add_partitions(context["dag_run"].partition_key or context["params"]["batch"])
