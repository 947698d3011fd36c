"""What Airflow and Ray add to the work of a batch:

    python -m tests.benchmarks.orchestration [--batches 10] [--complete 100]

Small batches run through `videobert_ingest` (three Ray jobs each) with work to do. Then a backfill of many complete
batches: those, and others whose jobs ran on a head that is gone (their commands are run here, without Ray).

For a batch, `run` is its DAG run from start to end, `jobs` the time that Ray had its jobs, `work` what the stages
themselves took; so `Airflow` = run - jobs, and `Ray` = jobs - work (starting a driver, imports). A complete batch
starts no job, unless Airflow on a busy machine loses a task and tries it again: three task processes find that its
results stand. `first` and `last` third of the complete
backfill tell whether the cost of a batch grows with the batches that are there.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shlex
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_ray_jobs.attempts import base_id, digest_of
from airflow_ray_jobs.result import RESULT_URI_VARIABLE, SUBMISSION_ID_VARIABLE
from tests.orchestration.stack import Stack, started
from videobert.cli import main as videobert
from videobert.demo.grammar import demo_kitchen
from videobert.demo.render import write_kitchen


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of one batch."""

    began: float
    ended: float
    jobs: float
    work: float

    @property
    def run(self) -> float:
        return self.ended - self.began


def main() -> None:
    """Print one row for the backfill with work to do, one for the complete one, and its thirds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--complete", type=int, default=100)
    options = parser.parse_args()
    number = max(options.batches, options.complete)
    days = [str(date(2026, 1, 1) + timedelta(days=day)) for day in range(number)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_kitchen(demo_kitchen(1), out_url=str(folder / "corpus"), batches=days, videos_per_batch=1)
        settings = {"VIDEOBERT_DEFER_SECONDS": "20"}  # the default, which the tests lower
        with started(folder / "stack", corpus=folder / "corpus", last_batch=days[-1], more=settings) as stack:
            print(f"{'backfill':<22}{'batches':>8}{'run s':>8}{'Airflow s':>11}{'Ray s':>8}{'work s':>8}")
            stack.videobert("backfill", "--from", days[0], "--to", days[options.batches - 1], "--wait")
            _row("with work", _costs(stack, ""))
            _complete_without_ray(stack, days[0], days[options.batches :])
            jobs = len(stack.jobs())
            before = datetime.now(UTC).isoformat()
            stack.videobert("backfill", "--from", days[0], "--to", days[-1], "--reprocess", "completed", "--wait")
            complete = _costs(stack, before)
            third = max(1, len(complete) // 3)
            _row("complete", complete)
            _row("complete, first third", complete[:third])
            _row("complete, last third", complete[-third:])
            took = max(cost.ended for cost in complete) - min(cost.began for cost in complete)
            retried = sum(task["try_number"] > 1 for run in _runs(stack, before) for task in stack.tasks(run))
            print(f"the complete backfill: {took:.0f} s, {len(stack.jobs()) - jobs} Ray jobs, {retried} retried tasks")


def _complete_without_ray(stack: Stack, done: str, days: Sequence[str]) -> None:
    """Do for other days what the jobs of a day that is done did, and leave the results where they would have."""
    jobs = [job for job in stack.jobs() if done in shlex.split(job["entrypoint"])]
    for day in days:
        for job in sorted(jobs, key=lambda job: int(job["start_time"])):
            command = job["entrypoint"].partition("; ")[2].replace(done, day)  # without the operator's variables
            submission_id = f"{base_id('videobert', digest_of(command, {}))}-a1"
            os.environ[SUBMISSION_ID_VARIABLE] = submission_id
            os.environ[RESULT_URI_VARIABLE] = str(stack.root / f"runs/{submission_id}.json")
            arguments = [word for word in shlex.split(command)[3:] if word not in ("--executor.kind", "ray")]
            with contextlib.redirect_stdout(io.StringIO()):
                videobert(arguments)


def _costs(stack: Stack, since: str) -> list[Cost]:
    """Of every batch, in the order in which they ran."""
    jobs = {job["submission_id"]: job for job in stack.jobs()}
    return [_cost(stack, run, jobs) for run in _runs(stack, since)]


def _runs(stack: Stack, since: str) -> list[dict[str, Any]]:
    runs = [run for run in stack.runs() if run["start_date"] > since]
    return sorted(runs, key=lambda run: str(run["start_date"]))


def _cost(stack: Stack, run: dict[str, Any], jobs: dict[str, dict[str, Any]]) -> Cost:
    began, spent, work = datetime.fromisoformat(run["start_date"]).timestamp(), 0.0, 0.0
    for task in stack.tasks(run):
        job = jobs.get(stack.submission_id(task))
        if job is None or job["start_time"] / 1000 < began:
            continue  # its result stood: this run started none
        spent += (job["end_time"] - job["start_time"]) / 1000
        work += json.loads((stack.root / f"runs/{job['submission_id']}.json").read_bytes())["seconds"]
    return Cost(began=began, ended=datetime.fromisoformat(run["end_date"]).timestamp(), jobs=spent, work=work)


def _row(what: str, costs: Sequence[Cost]) -> None:
    run, jobs, work = (statistics.median(getattr(cost, name) for cost in costs) for name in ("run", "jobs", "work"))
    print(f"{what:<22}{len(costs):>8}{run:>8.1f}{run - jobs:>11.1f}{jobs - work:>8.1f}{work:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
