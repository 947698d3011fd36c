"""Which rows a search may return, as an expression that is pushed down to files and row groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from videobert.errors import InputError

__all__ = ["Captions", "RowFilter"]

Captions = Literal["any", "with", "without"]
"""Rows with a text, rows without, or both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Rows of one level, narrowed."""

    level: str = "segment"
    """`segment` or `video`."""
    video: str = ""
    """How the video's id begins; empty takes all."""
    from_seconds: float = 0.0
    """Rows that end after this."""
    to_seconds: float = float("inf")
    """Rows that begin before this."""
    text: str = ""
    """What the row's text holds, in either case; empty takes all."""
    captions: Captions = "any"
    """`with` takes rows with a text, `without` those that have none."""
    without: Sequence[str] = ()
    """Row ids to leave out."""
    among: Collection[str] | None = None
    """Ids of the only rows, or of the videos whose rows are the only ones; None takes all."""

    def __post_init__(self) -> None:
        if not self.from_seconds < self.to_seconds:
            raise InputError(f"from second {self.from_seconds} is not before to second {self.to_seconds}; swap them")
        if self.captions not in ("any", "with", "without"):
            raise InputError(f"captions is {self.captions!r}; it is any, with or without")

    @property
    def expression(self) -> pc.Expression:
        """For Arrow, which compares it with the statistics of every row group first."""
        keep = pc.field("level") == self.level
        if self.video:  # as a range, which statistics know, unlike `starts_with`
            keep &= (pc.field("video_id") >= self.video) & (pc.field("video_id") <= self.video + "\U0010ffff")
        if self.from_seconds > 0:
            keep &= pc.field("end_seconds") > self.from_seconds
        if self.to_seconds < float("inf"):
            keep &= pc.field("start_seconds") < self.to_seconds
        if self.text:
            keep &= pc.match_substring(pc.field("text"), self.text, ignore_case=True)
        if self.captions != "any":
            empty = pc.scalar("")
            keep &= pc.field("text") != empty if self.captions == "with" else pc.field("text") == empty
        if self.without:
            keep &= ~pc.field("row_id").isin(list(self.without))
        if self.among is not None:
            among = pa.array(sorted(self.among), pa.string())
            keep &= pc.field("row_id").isin(among) | pc.field("video_id").isin(among)
        return keep

    @property
    def columns(self) -> list[str]:
        """The columns that the expression reads."""
        used = {
            "level": True, "video_id": self.video or self.among is not None, "end_seconds": self.from_seconds > 0,
            "start_seconds": self.to_seconds < float("inf"), "text": self.text or self.captions != "any",
            "row_id": self.without or self.among is not None,
        }  # fmt: skip
        return [name for name, is_used in used.items() if is_used]
