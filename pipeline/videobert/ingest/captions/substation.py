"""SubStation Alpha, through pysubs2: its events, without comments, drawings and override tags."""

from __future__ import annotations

from collections.abc import Iterator

import pysubs2

from videobert.ingest.captions.cues import MAX_CUES, TimedText

__all__ = ["is_substation", "parse_substation"]

_MAX_LINE = 20_000
_MAX_MARKS = 400
"""Braces of a line. pysubs2's pattern takes quadratic time over braces that nobody closes."""


def is_substation(text: str) -> bool:
    """Whether a text begins with the first section, comments before it left aside."""
    lines = (line.strip() for line in text[:4000].splitlines())
    return next((line for line in lines if line and line[0] != ";"), "").lower() == "[script info]"


def parse_substation(text: str) -> Iterator[TimedText]:
    """Cues in the order of the file. Raises ValueError where pysubs2 finds no events."""
    lines = [_bounded(line) for line in text.removeprefix("\ufeff").splitlines()][: 2 * MAX_CUES]
    try:
        events = pysubs2.SSAFile.from_string("\n".join(lines), format_="ass").events
    except (pysubs2.exceptions.Pysubs2Error, OverflowError, ValueError) as error:
        raise ValueError(f"no SubStation file: {error}") from error
    for event in events:
        if event.type == "Dialogue" and not event.is_drawing:
            yield event.start / 1000, event.end / 1000, event.plaintext


def _bounded(line: str) -> str:
    line = line[:_MAX_LINE]
    return line if line.count("{") <= _MAX_MARKS else line.replace("{", " ").replace("}", " ")
