"""Videos that wait to be embedded, one at a time, each in a process of its own that can be ended."""

from __future__ import annotations

import json
import queue
import secrets
import shutil
import subprocess
import sys
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from videobert.errors import PipelineError
from videobert.serve.access import environment_without_tokens
from videobert.serve.options import ServeOptions
from videobert.stages import flow_of

__all__ = ["BusyError", "Job", "Jobs"]

State = Literal["waiting", "running", "done", "failed", "cancelled"]


class BusyError(PipelineError):
    """As many videos wait as may."""


@dataclass(slots=True, kw_only=True)
class Job:
    """One video; `folder` holds it as long as it is needed."""

    id: str
    model: str
    """Embeddings' spec, that of the time when it came."""
    folder: Path
    state: State = "waiting"
    stage: str = ""
    """The one that runs."""
    error: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    @property
    def progress(self) -> float:
        """Share of the stages that are done."""
        names = [*flow_of("ingest"), *flow_of("embed")]
        return 1.0 if self.state == "done" else names.index(self.stage) / len(names) if self.stage in names else 0.0


class Jobs:
    """Remembers the last ones that ended. The thread that works starts with the first job."""

    def __init__(self, root: str, options: ServeOptions) -> None:
        self._root, self._options = root, options
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: queue.Queue[Job | None] = queue.Queue(options.most_waiting)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, folder: Path, model: str) -> Job:
        """Embed the video that lies in `folder/videos`; the folder is the job's from now on. Raises BusyError."""
        job = Job(id=secrets.token_urlsafe(12), model=model, folder=folder)
        with self._lock:
            try:
                self._waiting.put_nowait(job)
            except queue.Full:
                raise BusyError(f"{self._options.most_waiting} videos wait already; try again later") from None
            self._jobs[job.id] = job
            ended = [j for j in self._jobs.values() if j.state in ("done", "failed", "cancelled")]
            for old in ended[: max(0, len(ended) - self._options.jobs_remembered)]:
                del self._jobs[old.id]
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
        return job

    def find(self, job_id: str) -> Job | None:
        """The job of that id, unless it is forgotten."""
        return self._jobs.get(job_id)

    def cancel(self, job: Job) -> None:
        """End it, whether it waits or runs; one that has ended stays as it is."""
        with self._lock:
            if job.state in ("waiting", "running"):
                job.state = "cancelled"
            if (process := job.process) is not None:  # the thread that works forgets it once it has ended
                process.kill()

    def close(self) -> None:
        """End all of them, and the thread."""
        for job in list(self._jobs.values()):
            self.cancel(job)
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _work(self) -> None:
        while job := self._waiting.get():
            try:
                self._embed(job)
            except Exception as error:  # one job must not end all that follow
                self._end(job, error=f"{type(error).__name__}: the service could not embed it")
            finally:
                shutil.rmtree(job.folder, ignore_errors=True)

    def _embed(self, job: Job) -> None:
        order = {
            "root": self._root, "spec": job.model, "encoder": self._options.encoder,
            "videos": str(job.folder / "videos"), "work": str(job.folder / "work"),
            "most_seconds": self._options.most_upload_seconds,
        }  # fmt: skip
        with self._lock:
            if job.state == "cancelled":
                return
            job.state = "running"
            job.process = subprocess.Popen(
                [sys.executable, "-m", "videobert.serve.embed_child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, env=environment_without_tokens(),
            )  # fmt: skip
        limit = threading.Timer(self._options.most_job_seconds, job.process.kill)
        limit.start()
        try:
            self._follow(job, job.process, json.dumps(order))
        finally:
            limit.cancel()
            job.process.kill()
            job.process.wait()
            for pipe in (job.process.stdin, job.process.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):  # what a killed process never read
                    pipe.close()
            job.process = None
        self._end(job, error="it took too long or too much memory")  # unless the process has told how it ended

    def _follow(self, job: Job, process: subprocess.Popen[str], order: str) -> None:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(order + "\n")
        process.stdin.flush()
        for line in process.stdout:
            told = json.loads(line)
            job.stage = told.get("stage", job.stage)
            if "rows" in told or "error" in told:
                # Where it lay on this machine is nobody's business.
                error = told.get("error", "").replace(f"file://{job.folder}/videos/", "").replace(str(job.folder), "")
                self._end(job, rows=told.get("rows"), error=error)

    def _end(self, job: Job, *, error: str, rows: list[dict[str, Any]] | None = None) -> None:
        with self._lock:
            if job.state != "running":
                return
            job.state, job.error, job.rows = ("failed", error, []) if rows is None else ("done", "", rows)
