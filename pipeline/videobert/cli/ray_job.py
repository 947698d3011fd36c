"""What a stage leaves for the Airflow operator when it runs as a Ray job: counts and URLs, no data."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from videobert.admin.freshness import fingerprint
from videobert.flow import StageResult
from videobert.recipes import Recipe
from videobert.runtime.filesystem import open_filesystem
from videobert.runtime.storage import Store

__all__ = ["RayJob"]

_MOST = 100
"""Entries of a list in a result: it goes through Airflow's database."""
_NOT_TOLD = ("facts", "inputs", "stage", "spec")


@dataclass(frozen=True, kw_only=True)
class RayJob:
    """The job that this process is."""

    submission_id: str
    result_url: str
    fingerprint: dict[str, Any] | None
    """Of a stage over one batch: by it the operator tells later whether the result still stands."""

    @classmethod
    def ours(cls, recipe: Recipe, store: Store, stage: str, *, batches: Sequence[str], model: str) -> Self | None:
        """None outside of a job. To be called before the stage looks at anything."""
        url = os.environ.get("RAY_JOB_RESULT_URI")
        if not url:
            return None
        seen = fingerprint(recipe, store, stage, batch=batches[0], model=model) if len(batches) == 1 else None
        return cls(submission_id=os.environ.get("RAY_JOB_SUBMISSION_ID", ""), result_url=url, fingerprint=seen)

    def write_result(self, results: Sequence[StageResult]) -> None:
        """One JSON object where the operator looks for it."""
        batches = [{name: v for name, v in asdict(r).items() if name not in _NOT_TOLD} for r in results]
        value = {
            "submission_id": self.submission_id, "stage": results[0].stage, "spec": results[0].spec,
            "seconds": round(sum(r.seconds for r in results), 2), "results": batches[:_MOST],
            "inputs": sorted({url for r in results for url in r.inputs})[:_MOST],
            "outputs": [r.manifest for r in results if r.manifest][:_MOST], "fingerprint": self.fingerprint,
        }  # fmt: skip
        filesystem, path = open_filesystem(self.result_url)
        filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        filesystem.pipe_file(path, json.dumps(value).encode())
