"""`videobert files`: what became of every file below a batch's source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from videobert.errors import InputError
from videobert.ingest.accounts import STATES, account_path
from videobert.runtime.parquet import read_table
from videobert.runtime.storage import Store

__all__ = ["FilesCommand"]


@dataclass(frozen=True, kw_only=True)
class FilesCommand:
    """Show what became of every file below a batch's source: taken, captions read, or why not."""

    root: str
    """Root of the pipeline."""
    batch: str
    """The batch."""
    state: str = ""
    """Only files that ended so, such as `skipped` or `captions not read`; empty: all."""
    examples: int = 3
    """Files that are named of each state and reason."""

    def execute(self) -> None:
        if self.state and self.state not in STATES:
            raise InputError(f"--state is {self.state!r}; files end as {', '.join(map(repr, STATES))}")
        store, path = Store(self.root), account_path(self.batch)
        if not store.exists(path):
            raise InputError(
                f"nothing is known of the files of batch {self.batch!r} below {store.root}; "
                f"run `videobert stage ingest --batch {self.batch}` first"
            )
        rows = [row for row in read_table(store, path).to_pylist() if self.state in ("", row["state"])]
        for line in _lines(rows, self.examples):
            print(line)


def _lines(rows: list[dict[str, Any]], examples: int) -> Iterator[str]:
    def group(row: dict[str, Any]) -> tuple[int, str]:
        # Messages of dead letters and of captions name their file: only what is skipped shares its reasons.
        return STATES.index(row["state"]), row["detail"] if row["state"] == "skipped" else ""

    for (state, reason), found in groupby(sorted(rows, key=group), key=group):
        members = list(found)
        yield f"{len(members):8,} {STATES[state]}{f': {reason}' if reason else ''}"
        for row in members[:examples]:
            cues = "" if row["cues"] is None else f", {row['cues']:,} cues"
            # Names and messages come from outside: as Python writes them, they cannot steer a terminal.
            yield f"         {row['uri']!r}{cues}{_detail(row, reason)}"


def _detail(row: dict[str, Any], reason: str) -> str:
    return f": {row['detail']!r}" if row["detail"] and not reason else ""
