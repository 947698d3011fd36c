"""What every stage gets beside its config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.runtime.manifest import Manifest, Source
from pipeline.runtime.storage import Store

__all__ = ["Inputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The store, the batch, and the manifests of the stages it reads."""

    store: Store
    batch: str = ""
    """Batch key; empty for corpus stages."""
    upstream: Mapping[str, tuple[Manifest, ...]] = field(default_factory=dict)
    """Stage name -> its manifests: one, or one a batch for a corpus stage, sorted by batch."""

    def one(self, stage: str) -> Manifest:
        """The only manifest of an upstream stage."""
        (manifest,) = self.upstream[stage]
        return manifest

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(m.as_source() for name in sorted(self.upstream) for m in self.upstream[name])
