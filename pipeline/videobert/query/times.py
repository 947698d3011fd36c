"""When batches were committed, and how long it took: what the storage knows of its files. Manifests hold no times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from videobert.runtime.manifest import MANIFEST_NAME, specs_of
from videobert.runtime.storage import Store
from videobert.stages import all_stages

__all__ = ["CommitTime", "commit_times"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitTime:
    """Of one stage over one batch."""

    stage: str
    spec: str
    """Empty for the catalog, whose path holds none."""
    batch: str
    committed_at: str
    """ISO 8601 in UTC: when its manifest was written last."""
    seconds: float
    """From its first file to its commit: next to nothing of a single file, too much of a run that was resumed."""


def commit_times(store: Store) -> Iterator[CommitTime]:
    """Of every committed stage over a batch; one listing per stage and spec."""
    for stage in all_stages():
        if stage.scope != "batch":
            continue
        for spec in specs_of(store, stage.name) if "{spec}" in stage.folder else [""]:
            written: dict[str, list[tuple[datetime, bool]]] = {}
            for path, at in store.modified(stage.folder.format(spec=spec)).items():
                folder, _, name = path.rpartition("/")
                batch = folder.rpartition("batch=")[2]
                written.setdefault(batch, []).append((at, name == MANIFEST_NAME))
            for batch, files in sorted(written.items()):
                for end in (at for at, is_manifest in files if is_manifest):
                    began = min(at for at, _ in files)
                    yield CommitTime(
                        stage=stage.name, spec=spec, batch=batch, committed_at=end.isoformat(timespec="seconds"),
                        seconds=(end - began).total_seconds(),
                    )  # fmt: skip
