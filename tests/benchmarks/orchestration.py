"""What Airflow and Ray add to the work of a batch: `python -m tests.benchmarks.orchestration --batches 10`.

Small batches run through `videobert_ingest` (three Ray jobs each) twice: first with work to do, then complete. For a
batch, `run` is its DAG run from start to end, `jobs` the time that Ray had its jobs, `work` what the stages themselves
took; so `Airflow` = run - jobs, and `Ray` = jobs - work (starting a driver, imports). A complete batch starts no job:
three task processes of Airflow find that its results stand. `first` and `last` third of the complete backfill tell
whether the cost of a batch grows with the batches that are there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.corpus.grammar import demo_kitchen
from pipeline.corpus.render import write_kitchen
from tests.orchestration.stack import Stack, started


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
    options = parser.parse_args()
    days = [str(date(2026, 1, 1) + timedelta(days=number)) for number in range(options.batches)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_kitchen(demo_kitchen(1), out_url=str(folder / "corpus"), batches=days, videos_per_batch=1)
        with started(folder / "stack", corpus=folder / "corpus") as stack:
            print(f"{'backfill':<22}{'batches':>8}{'run s':>8}{'Airflow s':>11}{'Ray s':>8}{'work s':>8}")
            span = ("--from", days[0], "--to", days[-1], "--wait")
            stack.videobert("backfill", *span)
            _row("with work", _costs(stack, ""))
            jobs = len(stack.jobs())
            before = datetime.now(UTC).isoformat()
            stack.videobert("backfill", *span, "--reprocess", "completed")
            complete = _costs(stack, before)
            third = max(1, len(complete) // 3)
            _row("complete", complete)
            _row("complete, first third", complete[:third])
            _row("complete, last third", complete[-third:])
            took = max(cost.ended for cost in complete) - min(cost.began for cost in complete)
            print(f"the complete backfill: {took:.0f} s, {len(stack.jobs()) - jobs} Ray jobs")


def _costs(stack: Stack, since: str) -> list[Cost]:
    """Of every batch, in the order in which they ran."""
    jobs = {job["submission_id"]: job for job in stack.jobs()}
    runs = [run for run in stack.runs() if run["start_date"] > since]
    return [_cost(stack, run, jobs) for run in sorted(runs, key=lambda run: str(run["start_date"]))]


def _cost(stack: Stack, run: dict[str, Any], jobs: dict[str, dict[str, Any]]) -> Cost:
    began, spent, work = datetime.fromisoformat(run["start_date"]).timestamp(), 0.0, 0.0
    for task in stack.tasks(run):
        job = jobs[stack.submission_id(task)]
        if job["start_time"] / 1000 < began:
            continue  # its result stood: this run started none
        spent += (job["end_time"] - job["start_time"]) / 1000
        work += json.loads((stack.root / f"runs/{job['submission_id']}.json").read_bytes())["seconds"]
    return Cost(began=began, ended=datetime.fromisoformat(run["end_date"]).timestamp(), jobs=spent, work=work)


def _row(what: str, costs: Sequence[Cost]) -> None:
    run, jobs, work = (statistics.median(getattr(cost, name) for cost in costs) for name in ("run", "jobs", "work"))
    print(f"{what:<22}{len(costs):>8}{run:>8.1f}{run - jobs:>11.1f}{jobs - work:>8.1f}{work:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
