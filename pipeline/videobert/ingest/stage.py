"""What only ingest knows: its place in the flow, its spec, its source outside of the root, how a video leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from videobert.errors import InputError
from videobert.ingest.config import IngestConfig
from videobert.runtime.stage_kinds import BatchStage, Lookup

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest
    from videobert.runtime.storage import Store

__all__ = ["INGEST"]


class Ingest(BatchStage[IngestConfig]):
    name = "ingest"
    reads = ()
    folder = "catalog"
    suffix = "parquet"
    version = 2
    summary = "list, hash and probe videos, find captions; write the catalog"
    parts = ("ingest",)
    hours = 6
    config = IngestConfig

    def spec(self, config: IngestConfig, upstream: Mapping[str, str]) -> str:
        from videobert.runtime.spec import stage_spec

        return stage_spec(self, config, upstream=())

    def run(self, config: IngestConfig, inputs: Inputs, executor: Executor) -> Manifest:
        from videobert.ingest.run import run

        return run(config, inputs, executor)

    def batches(self, lookup: Lookup) -> list[str]:
        raise InputError("ingest needs the batches by name; give --batch KEY")

    def drop_video(self, source: Path, target: Path, video_id: str) -> dict[str, int]:
        from videobert.runtime.parquet import copy_without

        count = copy_without(source, target, video_id)
        return {"videos": count} if count else {}

    def counts_without(self, counts: Mapping[str, int], lost: Mapping[str, int], videos: int) -> dict[str, int]:
        """The source may still list a forgotten video, so the part goes on to answer for it."""
        left = super().counts_without(counts, lost, videos)
        return left | {"forgotten": left.get("forgotten", 0) + videos} if videos else left

    def plan_keys(
        self, store: Store, manifest: Manifest | None, plan: Sequence[Sequence[str]], video_id: str
    ) -> set[str]:
        from videobert.ingest.forgotten import unknown_uris

        return unknown_uris(store, manifest, plan)

    def after_forgetting(self, store: Store, manifest: Manifest) -> None:
        from videobert.ingest.accounts import forget_in_account

        forget_in_account(store, manifest)

    def source_uris(self, store: Store, manifest: Manifest, video_id: str) -> set[str]:
        from videobert.ingest.forgotten import uris_of

        return uris_of(store, manifest, video_id)

    def outside(self, config: IngestConfig, store: Store, batch: str) -> str:
        from videobert.ingest.listing import source_of

        return source_of(config, store, batch)

    def outside_digest(self, outside: str, batch: str) -> str:
        from videobert.ingest.listing import listing_digest

        return listing_digest(outside, batch)


INGEST = Ingest()
