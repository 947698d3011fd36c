"""`videobert status` and `dead-letters`: what is committed, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import videobert

__all__ = ["DeadLettersCommand", "StatusCommand"]


@dataclass(frozen=True, kw_only=True)
class StatusCommand:
    """Show what every batch has at every stage, and which model readers take.

    videobert status --root demo

    One line per stage and batch: the spec (a digest of configuration and inputs) and what its files hold. The last line
    names the promoted model.
    """

    root: str
    """Root of the pipeline."""

    def execute(self) -> None:
        root = videobert.open(self.root)
        for found in root.status():
            state = _counts(found.counts) if found.committed else "begun, not committed: run it again to resume"
            print(f"{found.stage:<9} {found.batch or 'corpus':<12} {found.spec:<24} {state}")
        print(f"current   {root.current.model_spec if root.current else 'none: no model is promoted'}")


@dataclass(frozen=True, kw_only=True)
class DeadLettersCommand:
    """Show the videos that could not be used: counts by reason, and examples.

    videobert dead-letters --root demo --batch 2026-01-02

    `videobert replay` tries them again; `videobert sql "select * from dead_letters"` shows all of them.
    """

    root: str
    """Root of the pipeline."""
    batch: str = ""
    """Only these batches, separated by commas."""
    examples: int = 3
    """Examples of each reason."""

    def execute(self) -> None:
        letters = videobert.open(self.root).dead_letters(batches=self.batch)
        if not letters:
            print("no dead letters")
        for (stage, reason), count in Counter((letter.stage, letter.reason) for letter in letters).most_common():
            print(f"{count:6,} {stage} {reason}")
            examples = [letter for letter in letters if (letter.stage, letter.reason) == (stage, reason)]
            for letter in examples[: self.examples]:
                print(f"       {letter.batch} {letter.uri!r}: {letter.message!r}")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{value:,} {name}" for name, value in counts.items() if value) or "nothing"
