"""WebVTT by the parsing algorithm of the W3C (https://www.w3.org/TR/webvtt1/#webvtt-parser), which browsers follow.

Kept libraries read the common case and differ from it in the others: named cues, comments, style sheets, cues that no
empty line ends, unclosed tags. Step names are those of the recommendation.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from videobert.ingest.captions.cues import MAX_CUES

__all__ = ["VttCue", "is_webvtt", "parse_webvtt", "plain_text"]

_SPACE = r"[\t\n\f\r ]*"
# Hours may have any number of digits; without them minutes have two. Twelve digits of hours are no time of any film.
_TIMESTAMP = r"(?:([0-9]{1,12}):([0-5][0-9])|([0-5][0-9])):([0-5][0-9])\.([0-9]{3})(?![0-9])"
_TIMINGS = re.compile(rf"{_SPACE}{_TIMESTAMP}{_SPACE}-->{_SPACE}{_TIMESTAMP}")
_MAX_TEXT = 20_000
"""Characters of one cue with its tags: YouTube's word times make them ten times as long as the words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VttCue:
    """One cue as the file has it."""

    identifier: str
    start_seconds: float
    end_seconds: float
    text: str
    """With its tags; `plain_text` takes them off."""


def is_webvtt(text: str) -> bool:
    """Whether a text begins with the signature."""
    return text[:6] == "WEBVTT" and text[6:7] in ("", " ", "\t", "\n", "\r")


def parse_webvtt(text: str) -> Iterator[VttCue]:
    """Cues in the order of the file. Raises ValueError without the signature at its start."""
    text = text.removeprefix("\ufeff").replace("\x00", "\ufffd").replace("\r\n", "\n").replace("\r", "\n")
    if not is_webvtt(text):
        raise ValueError("no WebVTT: the first line does not begin with WEBVTT")
    lines, at, found = text.split("\n"), 1, 0
    if len(lines) > 1 and lines[1]:
        at, _ = _collect_block(lines, 1, in_header=True)
    while at < len(lines) and found < MAX_CUES:
        if not lines[at]:
            at += 1
            continue
        at, cue = _collect_block(lines, at, in_header=False)
        if cue:
            found += 1
            yield cue


def plain_text(text: str) -> str:
    """Text of a cue without tags, its character references read.

    The tokenizer of the recommendation has nine states, but whatever kind of tag begins at a `<`, voice, class, ruby or
    time, ends at the next `>` or with the cue. References do not reach across a tag.
    """
    return "".join(html.unescape(piece) for piece in _TAG.split(text))


_TAG = re.compile(r"<[^>]*(?:>|\Z)")


def _collect_block(lines: list[str], at: int, *, in_header: bool) -> tuple[int, VttCue | None]:
    """The block that begins at a line: the line after it, and its cue. None for header, comment, style and region."""
    buffer: list[str] = []
    size, count, seen_arrow = 0, 0, False
    cue: tuple[str, float, float] | None = None
    while at < len(lines):
        line = lines[at]
        count += 1
        if "-->" in line:
            if in_header or count > 2 or seen_arrow:
                break  # it begins the next block, though no empty line ended this one
            seen_arrow = True
            if times := _timings(line):
                cue, buffer = ("\n".join(buffer), *times), []
        elif not line:
            break
        elif size < _MAX_TEXT:
            buffer.append(line[:_MAX_TEXT])
            size += len(line) + 1
        at += 1
    if cue is None:
        return at, None
    identifier, start, end = cue
    return at, VttCue(identifier=identifier, start_seconds=start, end_seconds=end, text="\n".join(buffer))


def _timings(line: str) -> tuple[float, float] | None:
    """Start and end in seconds. Settings such as `line:0` follow them and do not matter here."""
    match = _TIMINGS.match(line)
    if match is None:
        return None
    parts = match.groups()
    return _seconds(*parts[:5]), _seconds(*parts[5:])


def _seconds(hours: str | None, of_hour: str | None, minutes: str | None, seconds: str, thousandths: str) -> float:
    whole = int(hours or 0) * 3600 + int(of_hour or minutes or 0) * 60 + int(seconds)
    return (whole * 1000 + int(thousandths)) / 1000
