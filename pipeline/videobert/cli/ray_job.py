"""The Ray job that this process is, as far as the Airflow operator asks: where its result goes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from videobert.admin.freshness import input_fingerprint
from videobert.flow import StageResult
from videobert.recipes import Recipe
from videobert.runtime.filesystem import open_filesystem
from videobert.runtime.job_result import BatchResult, Fingerprint, JobResult
from videobert.runtime.storage import Store

__all__ = ["RayJob"]

_MOST = 100
"""Entries of a list in a result: it goes through Airflow's database."""


@dataclass(frozen=True, kw_only=True)
class RayJob:
    """One job."""

    submission_id: str
    result_url: str
    fingerprint: Fingerprint | None

    @classmethod
    def ours(
        cls, config: Recipe, store: Store, stage: str, *, recipe: str, batches: Sequence[str], model: str
    ) -> Self | None:
        """None outside of a job. To be called before the stage looks at anything."""
        url = os.environ.get("RAY_JOB_RESULT_URI")
        if not url:
            return None
        seen = None
        if len(batches) == 1:
            seen = input_fingerprint(config, store, stage, recipe=recipe, batch=batches[0], model=model)
        return cls(submission_id=os.environ.get("RAY_JOB_SUBMISSION_ID", ""), result_url=url, fingerprint=seen)

    def write_result(self, results: Sequence[StageResult]) -> None:
        """One JSON object where the operator looks for it."""
        record = JobResult(
            submission_id=self.submission_id, stage=results[0].stage, spec=results[0].spec,
            seconds=round(sum(r.seconds for r in results), 2),
            results=tuple(
                BatchResult(
                    batch=r.batch, manifest=r.manifest, digest=r.digest, counts=r.counts, seconds=r.seconds,
                    computed=r.computed,
                )
                for r in results[:_MOST]
            ),
            inputs=tuple(sorted({url for r in results for url in r.inputs})[:_MOST]),
            outputs=tuple([r.manifest for r in results if r.manifest][:_MOST]),
            fingerprint=self.fingerprint,
        )  # fmt: skip
        filesystem, path = open_filesystem(self.result_url)
        filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        filesystem.pipe_file(path, record.to_json().encode())
