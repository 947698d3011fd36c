"""`videobert trigger` and `backfill`: start DAG runs, with what Airflow's own command line lacks (partition keys)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

import tyro

from videobert.batch_key import parse_batch_keys
from videobert.cli.airflow_api import AirflowApi
from videobert.errors import InputError, PipelineError

__all__ = ["BackfillCommand", "TriggerCommand"]

_INGEST = "videobert_ingest"
_PAGE = 100
_UNDER_WAY = ("queued", "running")


@dataclass(frozen=True, kw_only=True)
class TriggerCommand:
    """Start the DAG of batches, or a training, through Airflow's REST API.

    videobert trigger --batch 2026-01-05,2026-01-06 --wait

    videobert trigger --dag train --dry-run

    A batch that is under way already is not started twice. VIDEOBERT_AIRFLOW_URL names the server, and
    VIDEOBERT_AIRFLOW_TOKEN, or VIDEOBERT_AIRFLOW_USER and VIDEOBERT_AIRFLOW_PASSWORD, open it.
    """

    batch: str = ""
    """Batch keys, separated by commas: days such as 2026-01-05, or names such as late-uploads. A training without takes
    all."""
    dag: Literal["ingest", "train", "finetune"] = "ingest"
    """`ingest`: one run per batch (embed follows by itself). `train`, `finetune`: one run over the batches."""
    dry_run: bool = False
    """Say what would be started, and stop."""
    wait: bool = False
    """Wait for the runs to end; exit code 1 when one fails."""
    poll_seconds: float = 5.0
    """Pause between two looks of --wait."""

    def execute(self) -> None:
        keys = parse_batch_keys(self.batch)
        if self.dag == "ingest" and not keys:
            raise InputError("--batch is empty; name the batches to run, such as --batch 2026-01-05,2026-01-06")
        api = AirflowApi.from_environment()
        name = f"videobert_{self.dag}"
        _say_if_paused(api, name)
        bodies = [_ingest_run(key) for key in keys] if self.dag == "ingest" else [_train_run(keys)]
        under_way = {_subject(run): run for run in _runs(api, name, state=_UNDER_WAY)}
        started = [self._start(api, name, body, under_way.get(_subject(body))) for body in bodies]
        if self.wait and not self.dry_run:
            _follow(api, name, started, self.poll_seconds)

    def _start(self, api: AirflowApi, dag: str, body: dict[str, Any], other: dict[str, Any] | None) -> str:
        """Start a run, unless another of the same batch is under way; returns its id."""
        what = _subject(body)
        if other:
            print(f"{dag} {what}: {other['dag_run_id']} is {other['state']} already; no second one is started")
            return str(other["dag_run_id"])
        if self.dry_run:
            print(f"{dag} {what}: would be started")
            return ""
        run_id = str(api.call("POST", f"/dags/{dag}/dagRuns", body)["dag_run_id"])
        print(f"{dag} {what}: started, {api.url}/dags/{dag}/runs/{quote(run_id)}")
        return run_id


@dataclass(frozen=True, kw_only=True)
class BackfillCommand:
    """Run every daily batch of a range through Airflow's REST API.

    videobert backfill --from 2026-01-01 --to 2026-01-31 --dry-run

    Days that succeeded are left alone unless --reprocess says otherwise; what is committed is never computed twice.
    The server and the user come from the same variables as those of `videobert trigger`.
    """

    from_: Annotated[str, tyro.conf.arg(name="from")]
    """First day, such as 2026-01-01."""
    to: str
    """Last day, included."""
    max_active_runs: int = 2
    """Batches at once."""
    reprocess: Literal["none", "failed", "completed"] = "failed"
    """Days that have a run already: leave them, run those again that failed, or all (what is committed stays)."""
    newest_first: bool = False
    """Start with the last day."""
    dry_run: bool = False
    """Print the days that would run, and stop."""
    wait: bool = False
    """Wait for the runs to end; exit code 1 when one fails."""
    poll_seconds: float = 5.0
    """Pause between two looks of --wait."""

    def execute(self) -> None:
        first, last = _day(self.from_, "from"), _day(self.to, "to")
        if last < first:
            raise InputError(f"--to {last} is before --from {first}; exchange them")
        body = {
            "dag_id": _INGEST, "from_date": f"{first}T00:00:00Z", "to_date": f"{last}T00:00:00Z",
            "max_active_runs": self.max_active_runs, "reprocess_behavior": self.reprocess,
            "run_backwards": self.newest_first,
        }  # fmt: skip
        api = AirflowApi.from_environment()
        _say_if_paused(api, _INGEST)
        keys = [run["partition_key"] for run in api.call("POST", "/backfills/dry_run", body)["backfills"]]
        if self.dry_run or not keys:
            print("\n".join(keys))
            print(f"{len(keys)} batches would run, {self.max_active_runs} at once")
            return
        backfill = api.call("POST", "/backfills", body)
        print(
            f"backfill {backfill['id']}: {len(keys)} batches, {self.max_active_runs} at once; {api.url}/dags/{_INGEST}"
        )
        if self.wait:
            runs = sorted(_runs(api, _INGEST, run_type=("backfill",)), key=lambda run: str(run["queued_at"]))
            newest = {run["partition_key"]: str(run["dag_run_id"]) for run in runs}
            _follow(api, _INGEST, [newest[key] for key in keys], self.poll_seconds)
            while api.call("GET", f"/backfills/{backfill['id']}")["completed_at"] is None:
                time.sleep(self.poll_seconds)  # Airflow closes it some seconds later, and allows the next one then


def _ingest_run(key: str) -> dict[str, Any]:
    """A day is a partition of the DAG; any other name goes in as a parameter, and its asset event carries it on."""
    own = {"dag_run_id": f"videobert__{key}__{datetime.now(UTC):%Y%m%dT%H%M%S%f}", "logical_date": None}
    try:
        date.fromisoformat(key)
    except ValueError:
        return own | {"conf": {"batch": key}}
    return own | {"partition_key": key}


def _train_run(keys: Sequence[str]) -> dict[str, Any]:
    own = {"dag_run_id": f"videobert__train__{datetime.now(UTC):%Y%m%dT%H%M%S%f}", "logical_date": None}
    return own | {"conf": {"batches": ",".join(keys)}}


def _subject(run: dict[str, Any]) -> str:
    """What a run is about: a batch, or the batches of a training."""
    conf = run.get("conf") or {}
    return str(run.get("partition_key") or conf.get("batch") or conf.get("batches") or "all batches")


def _runs(api: AirflowApi, dag: str, **filters: Iterable[str]) -> list[dict[str, Any]]:
    """All runs of a DAG that the filters let through."""
    found: list[dict[str, Any]] = []
    while True:
        query = urlencode({**filters, "limit": _PAGE, "offset": len(found)}, doseq=True)
        page = api.call("GET", f"/dags/{dag}/dagRuns?{query}")
        found += page["dag_runs"]
        if not page["dag_runs"] or len(found) >= page["total_entries"]:
            return found


def _follow(api: AirflowApi, dag: str, run_ids: Sequence[str], poll_seconds: float) -> None:
    """Wait for the runs and print how many are in which state. Raises PipelineError when one has failed."""
    told = None
    states: dict[str, str] = {}
    while True:
        under_way = {str(run["dag_run_id"]): str(run["state"]) for run in _runs(api, dag, state=_UNDER_WAY)}
        for run_id in run_ids:
            if run_id in under_way:
                states[run_id] = under_way[run_id]
            elif states.get(run_id, "queued") in _UNDER_WAY:  # it has ended since the last look
                states[run_id] = str(api.call("GET", f"/dags/{dag}/dagRuns/{quote(run_id)}")["state"])
        counts = Counter(states.values())
        if counts != told:
            told = counts
            print(f"{dag}: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items())), flush=True)
        if not any(state in _UNDER_WAY for state in states.values()):
            break
        time.sleep(poll_seconds)
    failed = [run_id for run_id, state in states.items() if state != "success"]
    if failed:
        raise PipelineError(f"{len(failed)} of {len(states)} runs of {dag} failed, the first is {failed[0]}; {api.url}")


def _say_if_paused(api: AirflowApi, dag: str) -> None:
    if api.call("GET", f"/dags/{dag}")["is_paused"]:
        print(f"note: {dag} is paused; its runs wait until it is unpaused (airflow dags unpause {dag})")


def _day(text: str, flag: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--{flag} {text!r} is no day; write it as 2026-01-31 ({error})") from error
