"""One bad input, and how it may end."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ANY", "ROWS", "Case"]

ROWS = "rows"
"""The video has rows in the features."""
ANY = (
    ROWS, "ingest empty", "ingest undecodable", "ingest no-video-stream", "ingest too-large", "ingest decoder-memory",
    "features undecodable", "features no-video-stream", "features too-long", "features too-large",
    "features decoder-memory",
)  # fmt: skip
"""What may become of a damaged file; never the crash or the silence of a decoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A file of the hostile corpus."""

    kind: str
    """Its class, such as `truncated`."""
    name: str
    """File name."""
    data: bytes
    ends: tuple[str, ...]
    """Allowed endings: `ROWS`, or stage and reason of the one dead letter."""
    note: str = ""
    """What is special about it."""
