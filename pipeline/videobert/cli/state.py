"""`videobert status` and `dead-letters`: what stands, and what failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from videobert.runtime.manifest import batches_of, load_manifests, specs_of
from videobert.runtime.parquet import read_table
from videobert.runtime.pointer import read_pointer
from videobert.runtime.storage import Store
from videobert.stages import all_stages

__all__ = ["DeadLettersCommand", "StatusCommand"]


@dataclass(frozen=True, kw_only=True)
class StatusCommand:
    """Show what every batch has at every stage, and which model readers take."""

    root: str
    """Root of the pipeline."""

    def execute(self) -> None:
        store = Store(self.root)
        for stage in all_stages():
            # The catalog's path holds no spec: its folder is the stage itself.
            specs = specs_of(store, stage.name) if "{spec}" in stage.folder else [""]
            for spec in specs:
                batches = batches_of(store, stage.name, spec) if stage.scope == "batch" else [""]
                for batch, manifest in load_manifests(store, stage.name, spec, batches):
                    state = _counts(manifest.counts) if manifest else "begun, not committed: run it again to resume"
                    name = manifest.spec if manifest else spec
                    print(f"{stage.name:<9} {batch or 'corpus':<12} {name:<24} {state}")
        pointer = read_pointer(store)
        print(f"current   {pointer.model_spec if pointer else 'none: no model is promoted'}")


@dataclass(frozen=True, kw_only=True)
class DeadLettersCommand:
    """Show the videos that could not be used: counts by reason, and examples."""

    root: str
    """Root of the pipeline."""
    examples: int = 3
    """Examples of each reason."""

    def execute(self) -> None:
        store = Store(self.root)
        paths = [path for path in store.list("dead_letters") if path.endswith(".parquet")]
        rows = [row for path in paths for row in read_table(store, path).to_pylist()]
        if not rows:
            print("no dead letters")
        for (stage, reason), count in Counter((row["stage"], row["reason"]) for row in rows).most_common():
            print(f"{count:6,} {stage} {reason}")
            for row in [r for r in rows if (r["stage"], r["reason"]) == (stage, reason)][: self.examples]:
                print(f"       {row['batch']} {row['uri']!r}: {row['message']!r}")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{value:,} {name}" for name, value in counts.items() if value) or "nothing"
