"""What every batch has at every stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from videobert.runtime.manifest import batches_of, load_manifests, specs_of
from videobert.runtime.storage import Store
from videobert.stages import all_stages

__all__ = ["StageStatus", "stage_status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """One stage over one batch, or over the corpus."""

    stage: str
    batch: str
    """Batch key; empty for a stage over the corpus."""
    spec: str
    committed: bool
    """False: begun and not ended; the same command resumes it."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What is in its files, such as videos, clips and rows, and `rejects`; empty until it is committed."""


def stage_status(store: Store) -> Iterator[StageStatus]:
    """In the order of the stages, their specs and their batches."""
    for stage in all_stages():
        # The catalog's path holds no spec: its folder is the stage itself.
        specs = specs_of(store, stage.name) if "{spec}" in stage.folder else [""]
        for spec in specs:
            batches = batches_of(store, stage.name, spec) if stage.scope == "batch" else [""]
            for batch, manifest in load_manifests(store, stage.name, spec, batches):
                if manifest:
                    yield StageStatus(
                        stage=stage.name, batch=batch, spec=manifest.spec, committed=True, counts=manifest.counts
                    )
                else:
                    yield StageStatus(stage=stage.name, batch=batch, spec=spec, committed=False)
