"""What every stage gets besides its config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from videobert.errors import InputError
from videobert.runtime.manifest import Manifest, Source
from videobert.runtime.storage import Store

__all__ = ["Inputs", "Share"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One of several jobs that split a batch between them: it does every `count`-th shard."""

    index: int = 1
    """Which of them, from 1."""
    count: int = 1
    """How many there are."""

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise InputError(
                f"share {self.index}/{self.count} does not exist; give 1/{self.count} to {self.count}/{self.count}"
            )

    def holds(self, shard: int) -> bool:
        """Whether the shard of that number is ours."""
        return shard % self.count == self.index - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The store, the batch, and the manifests of the stages it reads."""

    store: Store
    batch: str = ""
    """Batch key; empty for corpus stages."""
    upstream: Mapping[str, tuple[Manifest, ...]] = field(default_factory=dict)
    """Stage name -> its manifests: one, or one a batch for a corpus stage, sorted by batch."""
    share: Share = field(default_factory=Share)
    """The part of the shards to do; the job that finds all of them done commits."""
    retry: frozenset[int] = frozenset()
    """Committed shards to do once more: `videobert replay`."""

    def one(self, stage: str) -> Manifest:
        """The only manifest of an upstream stage."""
        (manifest,) = self.upstream[stage]
        return manifest

    @property
    def upstream_specs(self) -> dict[str, str]:
        """Stage name -> spec of what is read; for batch stages, which read one manifest of each."""
        return {name: manifest.spec for name, (manifest,) in self.upstream.items()}

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(m.as_source() for name in sorted(self.upstream) for m in self.upstream[name])
