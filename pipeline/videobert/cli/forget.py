"""`videobert forget`: a video leaves everything that was made of it."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from videobert.admin.forget import forget
from videobert.runtime.storage import Store

__all__ = ["ForgetCommand"]


@dataclass(frozen=True, kw_only=True)
class ForgetCommand:
    """Remove a video from catalog, shards, features, tokens, embeddings and dead letters; keep it from coming back.

    A killed run is resumed by the same command. Jobs that are at work meanwhile may fail and have to run again.
    """

    video_id: tyro.conf.Positional[str]
    """sha256 of the video's bytes, as `search`, `sql` and `lineage` print it."""
    root: str
    """Root of the pipeline."""
    dry_run: bool = False
    """Say what would be rewritten, and stop."""

    def execute(self) -> None:
        store = Store(self.root)
        if not self.dry_run:
            store.check_root()
        forget(store, self.video_id, dry_run=self.dry_run, report=lambda line: print(line, flush=True))
