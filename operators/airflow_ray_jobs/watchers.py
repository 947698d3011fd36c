"""Which task instances follow which job, and whether Airflow still wants them to.

Kept as Airflow Variables, the one memory that workers, triggerers and maintenance tasks of a deployment share:

    ray_job.<submission id>.<16 hex digits>   a task instance follows the job; the value names it and the cluster
    ray_job.<submission id>.stop-<32 digits>  somebody is about to stop the job; the value names for whom

Who follows writes the own entry and then looks for the mark; who stops writes the mark and then looks for entries.
One of the two sees the other, whatever the timing: no job is stopped that somebody follows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from airflow.sdk import Variable
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

__all__ = ["Watcher", "Watchers"]

_PREFIX = "ray_job."
_STOP = ".stop-"
_NOTE = "Kept by airflow_ray_jobs while a job runs; `sweep` removes what is left behind."
_ENDED = ("success", "failed", "skipped", "removed", "upstream_failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """One task instance that follows a job, and where the job runs."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    clears: int
    """The task instance's `max_tries`: Airflow raises it with each Clear, and never for a retry."""
    conn_id: str
    address: str | None = None
    namespace: str | None = None

    def is_former(self, other: Watcher) -> bool:
        """Whether this is the same task instance as the other, before it was cleared."""
        return self.task_instance == other.task_instance and self.clears != other.clears

    @property
    def task_instance(self) -> tuple[str, str, str, int]:
        """What stays the same through retries and Clear."""
        return self.dag_id, self.run_id, self.task_id, self.map_index


class Watchers:
    """Reads and writes the Variables. Every method blocks: on an event loop, call it in a thread."""

    def add(self, submission_id: str, watcher: Watcher) -> None:
        """From now on the task instance follows the job."""
        Variable.set(_key(submission_id, watcher), json.dumps(asdict(watcher)), description=_NOTE)

    def remove(self, submission_id: str, watcher: Watcher) -> None:
        """It does no longer; one that never did is no error."""
        Variable.delete(_key(submission_id, watcher))

    def of(self, submission_id: str) -> tuple[list[Watcher], dict[str, Watcher]]:
        """Who follows the job; and by their marks, for whom it is about to be stopped."""
        keys = Variable.keys(prefix=f"{_PREFIX}{submission_id}.")
        found = {key: watcher for key in keys if (watcher := self._read(key))}
        marks = {key.partition(_STOP)[2]: watcher for key, watcher in found.items() if _STOP in key}
        return [watcher for key, watcher in found.items() if _STOP not in key], marks

    def mark(self, submission_id: str, watcher: Watcher, mark: str) -> None:
        """Tell everybody that somebody is about to stop the job; `mark` is a name that nobody else uses."""
        Variable.set(f"{_PREFIX}{submission_id}{_STOP}{mark}", json.dumps(asdict(watcher)), description=_NOTE)

    def unmark(self, submission_id: str, mark: str) -> None:
        """They are not."""
        Variable.delete(f"{_PREFIX}{submission_id}{_STOP}{mark}")

    def submission_ids(self) -> list[str]:
        """Every job that somebody follows, followed, or is stopping."""
        return sorted({key.removeprefix(_PREFIX).rpartition(".")[0] for key in Variable.keys(prefix=_PREFIX)})

    @classmethod
    def is_wanted(cls, watcher: Watcher) -> bool:
        """Whether its task instance is there and has not ended, by Airflow's database."""
        found = cls._states(watcher)
        return len(found) == 1 and found[0] not in _ENDED

    @classmethod
    def is_deferred(cls, watcher: Watcher) -> bool:
        """Whether its task instance waits in a triggerer."""
        return cls._states(watcher) == ["deferred"]

    @staticmethod
    def _states(watcher: Watcher) -> list[str | None]:
        """The state of its task instance, if there is one; None before it is scheduled."""
        mapped = watcher.map_index >= 0
        states = RuntimeTaskInstance.get_task_states(
            dag_id=watcher.dag_id,
            task_ids=[watcher.task_id],
            run_ids=[watcher.run_id],
            map_index=watcher.map_index if mapped else None,
        )
        key = f"{watcher.task_id}_{watcher.map_index}" if mapped else watcher.task_id
        found = states.get(watcher.run_id, {})
        return [found[key]] if key in found else []

    @staticmethod
    def _read(key: str) -> Watcher | None:
        """None for an entry that was removed since it was listed."""
        text = Variable.get(key, default=None)
        return None if text is None else Watcher(**json.loads(text))


def _key(submission_id: str, watcher: Watcher) -> str:
    digest = hashlib.sha256(json.dumps(asdict(watcher), sort_keys=True).encode()).hexdigest()[:16]
    return f"{_PREFIX}{submission_id}.{digest}"
