"""`videobert replay`: try dead letters again."""

from __future__ import annotations

from dataclasses import dataclass

from videobert.admin.replay import find_letters, replay
from videobert.cli.stages import Compute, result_line

__all__ = ["ReplayCommand"]


@dataclass(frozen=True, kw_only=True)
class ReplayCommand(Compute):
    """Try dead letters again after something was mended: their shards only, and what follows from them."""

    where: str
    """A reason such as `vanished`, or a condition in SQL: "stage = 'features' and attempts < 3"."""

    def execute(self) -> None:
        store = self.store()
        letters = find_letters(store, self.where, self.batches)
        for letter in letters:
            shards = ", ".join(map(str, sorted(letter.shards)))
            print(f"{letter.stage:<9} {letter.batch:<12} {letter.spec:<24} {letter.videos:,} videos, shards {shards}")
        if not self.dry_run:
            replay(
                self.config, store, letters, self.executor.build(),
                done=lambda result: print(result_line(result), flush=True),
            )  # fmt: skip
