"""Progress of DAG runs on the terminal: which tasks run, and the last word of their Ray jobs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

from infra.local.airflow import Airflow
from infra.local.processes import family_bytes
from infra.local.ray_head import RayHead
from videobert.errors import PipelineError

__all__ = ["Watch"]

_EVERY_SECONDS = 5.0
_PREFIX = re.compile(r"^(\x1b\[\d+m)?(\(.*?pid=\d+\)(\x1b\[0m)? )?(\d\d:\d\d:\d\d )?")
"""Ray's mark of the process and our clock, before the words."""
_FINISHED = ("success", "skipped")


class Watch:
    """Polls Airflow and Ray, and says what changed."""

    def __init__(self, airflow: Airflow, ray: RayHead, *, say: Callable[[str], None]) -> None:
        self._airflow, self._ray, self._say = airflow, ray, say
        self._seen: dict[tuple[str, str], str] = {}
        self._last_words: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        self._succeeded: list[str] = []
        self.peak_bytes = 0
        """Most memory seen, of everything this process started."""

    def until_done(self, dag: str, *, runs: int) -> None:
        """Wait for `runs` runs of a DAG. Raises PipelineError when one fails."""
        while True:
            self._airflow.check()
            self.peak_bytes = max(self.peak_bytes, family_bytes())
            found = self._airflow.call("GET", f"/dags/{dag}/dagRuns?limit=100")["dag_runs"]
            for run in found:
                self._report(dag, run)
            failed = [run["dag_run_id"] for run in found if run["state"] == "failed"]
            if failed:
                raise PipelineError(f"{dag} failed in {', '.join(failed)}:\n{self._failures()}")
            if len(found) >= runs and all(run["state"] == "success" for run in found):
                return
            self._report_jobs()
            time.sleep(_EVERY_SECONDS if found else 1.0)

    def task_seconds(self) -> dict[str, float]:
        """Seconds per stage, from its start to its end in Airflow, added up over batches."""
        return dict(self._seconds)

    def results(self) -> list[bool]:
        """Of every result that the tasks of these runs gave: whether it was computed, or already committed."""
        computed = []
        for path in self._succeeded:
            value = self._airflow.call("GET", f"{path}/xcomEntries/return_value")["value"]
            found = json.loads(value) if isinstance(value, str) else value
            fresh = not found.get("reused", False)
            computed += [fresh and one["computed"] for one in found.get("results", ())]
        return computed

    def _report(self, dag: str, run: dict[str, Any]) -> None:
        path = f"/dags/{dag}/dagRuns/{run['dag_run_id']}/taskInstances"
        for task in self._airflow.call("GET", path)["task_instances"]:
            key, state = (run["dag_run_id"], task["task_id"]), task["state"]
            if state in (*_FINISHED, "failed", "up_for_retry") and self._seen.get(key) != state:
                self._seen[key] = state
                seconds = float(task["duration"] or 0.0)
                where = run.get("partition_key") or ""
                self._say(f"{task['task_id']} {where} {state}, {seconds:.0f} s".replace("  ", " "))
                if state == "success" and task["operator_name"] == "RayJobOperator":
                    self._succeeded.append(f"{path}/{task['task_id']}")
                    self._seconds[task["task_id"]] = self._seconds.get(task["task_id"], 0.0) + seconds

    def _report_jobs(self) -> None:
        for job in json.loads(self._ray.get("/api/jobs/")):
            if job["status"] != "RUNNING":
                continue
            words = self._last_word(job["submission_id"])
            if words and self._last_words.get(job["submission_id"]) != words:
                self._last_words[job["submission_id"]] = words
                self._say(f"  {words}")

    def _last_word(self, submission_id: str) -> str:
        lines = json.loads(self._ray.get(f"/api/jobs/{submission_id}/logs"))["logs"].splitlines()
        told = [line for line in lines if "left" in line or "tokens/s" in line or "fitting" in line]
        return _PREFIX.sub("", told[-1]) if told else ""

    def _failures(self) -> str:
        tails = []
        for job in json.loads(self._ray.get("/api/jobs/")):
            if job["status"] == "FAILED":
                logs = json.loads(self._ray.get(f"/api/jobs/{job['submission_id']}/logs"))["logs"]
                tails.append(f"{job['entrypoint']}\n" + "\n".join(logs.splitlines()[-15:]))
        return "\n\n".join(tails) or "no Ray job failed; see the task's log in Airflow"
