"""A cue, and how those of any format become plain text in time order."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from videobert.ingest.captions.rolling import Shown, said_once

__all__ = ["MAX_CUES", "Cue", "TimedText", "clean_cues", "clean_row"]

TimedText = tuple[float, float, str]
"""Start and end in seconds, and plain text whose rows end in a newline."""

MAX_CUES = 50_000
"""More than one a second for twelve hours."""
_MAX_CUE_CHARACTERS = 2_000
_JOINERS = "\u200c\u200d"
"""Zero-width non-joiner and joiner: they shape Persian and Indic words and join emoji, so they stay within a word."""
# SubStation's `{\an8}` survives conversions to every other format.
_OVERRIDE = re.compile(r"\{\\[^{}\n]{0,200}\}")
_STRAY_JOINER = re.compile(rf"(?:(?<=\s)|^)[{_JOINERS}]+|[{_JOINERS}]+(?=\s|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """Text shown or spoken during [start, end), in seconds from the first frame."""

    start_seconds: float
    end_seconds: float
    text: str


def clean_cues(raw: Iterable[TimedText]) -> list[Cue]:
    """Plain text in time order; cues without text or duration go, rolling captions are said once."""
    # Before the sort, for a time that is no number leaves its neighbours in any order.
    timed = [cue for cue in raw if math.isfinite(cue[0]) and math.isfinite(cue[1]) and cue[1] > max(cue[0], 0.0)]
    shown = []
    for start, end, text in sorted(timed, key=lambda cue: (cue[0], cue[1]))[:MAX_CUES]:
        rows = tuple(
            row for line in _OVERRIDE.sub("", text[:_MAX_CUE_CHARACTERS]).split("\n") if (row := clean_row(line))
        )
        if rows:
            shown.append(Shown(start=max(start, 0.0), end=end, rows=rows))
    return [Cue(start_seconds=cue.start, end_seconds=cue.end, text=" ".join(cue.rows)) for cue in said_once(shown)]


def clean_row(row: str) -> str:
    """One row without control characters, its white space made single blanks.

    Format characters (soft hyphen, zero-width space, direction marks) have no width and split no word: they go.
    """
    if not row.isascii():
        row = "".join(c for c in row if c in _JOINERS or unicodedata.category(c) != "Cf")
    row = "".join(c if c.isprintable() or c in _JOINERS else " " for c in row)
    return " ".join(_STRAY_JOINER.sub("", " ".join(row.split())).split())
