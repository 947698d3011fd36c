"""What a stage that ran as a Ray job leaves for Airflow: counts and URLs, no data.

Written by the job, read by the DAGs (`counts`, `spec`) and by `admin.freshness`. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

__all__ = ["BatchResult", "Fingerprint", "JobResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a stage over one batch looked at, besides manifests: by it one tells later whether the result is current."""

    root: str
    batch: str
    recipe: str
    """Name of the recipe."""
    code: str
    """Versions of package and stage, and digest of the recipe's configuration."""
    outside: str
    """What it read that no manifest holds, such as the URL of a prefix; empty: nothing."""
    outside_digest: str
    pointer: str
    """The promoted model that it read; empty when it read none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """One commit of the job."""

    batch: str
    manifest: str
    """URL; empty while other shares of the batch are not done."""
    digest: str
    counts: dict[str, int]
    seconds: float
    computed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The whole record."""

    submission_id: str
    stage: str
    spec: str
    seconds: float
    results: tuple[BatchResult, ...]
    inputs: tuple[str, ...]
    """URLs of the manifests it read."""
    outputs: tuple[str, ...]
    """URLs of those it wrote or found."""
    fingerprint: Fingerprint | None
    """None for a corpus stage or several batches."""

    @property
    def counts(self) -> dict[str, int]:
        """Counts of all batches together."""
        total: dict[str, int] = {}
        for result in self.results:
            for name, count in result.counts.items():
                total[name] = total.get(name, 0) + count
        return total

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> Self:
        """Parse what `to_json` wrote. Raises ValueError for anything else, such as the record of another version."""
        try:
            values = dict(raw)
            results = tuple(BatchResult(**result) for result in values.pop("results"))
            seen = values.pop("fingerprint")
            inputs, outputs = tuple(values.pop("inputs")), tuple(values.pop("outputs"))
            fingerprint = Fingerprint(**seen) if seen else None
            return cls(results=results, inputs=inputs, outputs=outputs, fingerprint=fingerprint, **values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the result of a job of this version: {error}") from error
