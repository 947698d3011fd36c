"""A whole small deployment on this machine: PostgreSQL, the four Airflow processes, a Ray head, a corpus, a root."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil
from sqlalchemy import create_engine, inspect, text

from infra.local.airflow import Airflow
from infra.local.postgres import Postgres
from infra.local.ray_head import RayHead, inherited_env
from videobert.stages import flow_of

__all__ = ["DAGS", "FINAL", "RECIPE", "SECRETS", "Stack", "objects", "reference", "started"]

REPOSITORY = Path(__file__).resolve().parents[2]
DAGS = ["videobert_ingest", "videobert_embed", "videobert_train"]
FINAL = ("SUCCEEDED", "FAILED", "STOPPED")
RECIPE = """
base = "demo"
[ingest]
source = "{corpus}/videos/{{batch}}"
[codebook]
branching = 3
depth = 2
heldout_fraction = 0.4
[pretrain]
steps = 2
warmup_steps = 0
checkpoint_every_steps = 1
batch_size = 8
threads = 1
[evaluate]
labels = "{corpus}/truth/truth.jsonl"
gates = {{ zero_shot_sigma = 0.0, recall_at_10_over_chance = 0.0 }}
"""
"""Of a deployment that also trains, in seconds: `corpus` is to be filled in."""

# Airflow notices a dead process after minutes by default; here nobody wants to wait for that.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "3",
}


SECRETS = {
    name: f"marked-{secrets.token_hex(12)}"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
}
"""In the environment of Airflow and Ray alike, as where the root is a bucket."""

T = TypeVar("T")


class Stack:
    """What the tests do to it and ask of it."""

    def __init__(self, airflow: Airflow, ray: RayHead, database: str, folder: Path, root: Path) -> None:
        self.airflow, self.ray, self.root = airflow, ray, root
        self._database, self._folder = database, folder

    def videobert(self, *arguments: str) -> str:
        """Output of one command that must succeed."""
        env = inherited_env() | self.airflow.client_env
        command = [sys.executable, "-m", "videobert", *arguments]
        done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=7200)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def runs(self, dag: str = "videobert_ingest") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self.airflow.call("GET", f"/dags/{dag}/dagRuns?limit=100&offset={len(found)}")
            found += page["dag_runs"]
            if not page["dag_runs"] or len(found) >= page["total_entries"]:
                return found

    def tasks(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
        found: list[dict[str, Any]] = self.airflow.call("GET", path)["task_instances"]
        return found

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.ray.get("/api/jobs/"))
        return [job for job in found if job["submission_id"]]

    def submission_id(self, task: dict[str, Any]) -> str:
        """The Ray job that the last try of a task watched."""
        run = f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
        value = self.airflow.call("GET", f"{run}/xcomEntries/ray_job_link")["value"]
        return str(value).rsplit("/", 1)[-1].strip('"')

    def deferred(self, *, with_job: str = "RUNNING") -> tuple[dict[str, Any], str] | None:
        """A task that waits in the triggerer for a Ray job in that state, and the job's id."""
        jobs = {job["submission_id"]: job["status"] for job in self.jobs()}
        for run in self.runs():
            for task in self.tasks(run) if run["state"] == "running" else []:
                if task["state"] == "deferred" and task["map_index"] < 0:
                    submission_id = self.submission_id(task)
                    if jobs.get(submission_id) == with_job:
                        return task, submission_id
        return None

    def actors(self) -> list[psutil.Process]:
        """Processes of the pipeline's own Ray actors."""
        head = psutil.Process(self.ray.service.pid)
        found = []
        for process in head.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "ray::_Actor" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def wait_for(self, what: str, look: Callable[[], T | None], *, seconds: float = 900.0) -> T:
        """The first true answer of `look`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.airflow.check()
            if found := look():
                return found
            time.sleep(0.5)
        raise AssertionError(f"{what}: not within {seconds:.0f} s; runs {self.summary()}")

    def wait_until_done(self, dag: str = "videobert_ingest", *, runs: int) -> Counter[str]:
        """Wait until that many runs have ended; how many in which state."""

        def ended() -> bool:
            states = [run["state"] for run in self.runs(dag)]
            return len(states) >= runs and all(state in ("success", "failed") for state in states)

        self.wait_for(f"{runs} runs of {dag}", ended, seconds=600 + 120 * runs)
        return Counter(str(run["state"]) for run in self.runs(dag))

    def summary(self) -> str:
        return json.dumps([
            [run["dag_run_id"], run["state"], {t["task_id"]: t["state"] for t in self.tasks(run)}]
            for dag in DAGS
            for run in self.runs(dag)
        ])  # fmt: skip

    def told(self) -> Iterator[tuple[str, bytes]]:
        """All that can be read afterwards: logs and other files of Airflow, Ray and the jobs; rows of the database."""
        for folder in (self._folder, self.ray.folder):
            yield from ((str(path), path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file())
        engine = create_engine(self._database)
        with engine.connect() as connection:
            for table in inspect(engine).get_table_names():
                rows = connection.execute(text(f'SELECT row_to_json(t)::text FROM "{table}" t'))
                yield f"table {table}", "\n".join(row[0] for row in rows).encode()

    def computed(self) -> Counter[tuple[str, str]]:
        """How many jobs wrote something, by stage and batch."""
        results = [json.loads(path.read_bytes()) for path in (self.root / "runs").glob("*.json")]
        return Counter(
            (result["stage"], one["batch"]) for result in results for one in result["results"] if one["computed"]
        )


def recipe(folder: Path, corpus: Path) -> str:
    """The configuration of every stage, as a file: the corpus as source, and several small shards per batch."""
    file = folder / "recipe.toml"
    file.write_text(
        f'base = "demo"\n[ingest]\nsource = "{corpus}/videos/{{batch}}"\nfiles_per_part = 2\n'
        "[shard]\nshard_bytes = 400000\n"
    )
    return str(file)


def reference(root: Path, corpus: Path, batches: Sequence[str]) -> dict[str, bytes]:
    """What an undisturbed run in one process writes: every object by its path."""
    root.parent.mkdir(parents=True, exist_ok=True)
    chosen = recipe(root.parent, corpus)
    for stage in flow_of("ingest"):
        command = [sys.executable, "-m", "videobert", "stage", stage, "--root", str(root), "--batch", ",".join(batches)]
        subprocess.run(
            [*command, "--recipe", chosen], env=inherited_env(), cwd=REPOSITORY, check=True, capture_output=True
        )
    return objects(root)


def objects(root: Path) -> dict[str, bytes]:
    """Every object of a root but the small results of single jobs, whose names hold ids."""
    files = (p for p in sorted(root.rglob("*")) if p.is_file())
    found = {p.relative_to(root).as_posix(): p.read_bytes() for p in files}
    return {path: data for path, data in found.items() if not path.startswith("runs/")}


@contextlib.contextmanager
def started(
    folder: Path, *, corpus: Path, shard_groups: int = 1, last_batch: str = "2026-01-31",
    dags: Path = REPOSITORY / "dags", unpaused: Sequence[str] = DAGS, more: Mapping[str, str] | None = None,
) -> Iterator[Stack]:  # fmt: skip
    """The deployment, its DAGs unpaused; everything ends with the block. `more` settings by their variables."""
    root = folder / "root"
    root.mkdir(parents=True)
    env = inherited_env() | SECRETS
    settings = {
        "VIDEOBERT_ROOT": str(root), "VIDEOBERT_LAST_BATCH": last_batch, "VIDEOBERT_POLL_SECONDS": "1",
        "VIDEOBERT_TRAIN_CRON": "none", "VIDEOBERT_RETRY_SECONDS": "2",
        "VIDEOBERT_DEFER_SECONDS": "0",  # or short jobs would never reach the triggerer
        "VIDEOBERT_SHARES": str(shard_groups),
        "VIDEOBERT_OPTIONS": "--executor.workers 1 --executor.cpus-per-worker 0.25",
        "VIDEOBERT_RECIPE": recipe(folder, corpus),
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        postgres = Postgres(env=inherited_env(), log=folder / "postgres.log")
        stack.callback(postgres.stop)
        ray = RayHead(env=env, log=folder / "ray.log")
        stack.callback(ray.stop)
        postgres.wait()
        airflow = Airflow(
            home=folder / "airflow", dags=dags, database=postgres.url,
            env=env | ray.client_env | IMPATIENT | settings | dict(more or {}),
        )  # fmt: skip
        stack.callback(airflow.stop)
        airflow.start()
        ray.wait()
        airflow.wait_for_dags(list(unpaused))
        for dag in unpaused:
            airflow.call("PATCH", f"/dags/{dag}", {"is_paused": False})
        yield Stack(airflow, ray, postgres.url, folder, root)
