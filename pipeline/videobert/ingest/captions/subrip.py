"""SubRip as players read it: there is no specification, so whatever has a line of times is a cue.

Numbers, hours and milliseconds may be missing, dots may stand for commas, an empty line need not end a cue (FFmpeg,
VLC and mpv agree): a cue's text is all between two lines of times but the number of the second.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from videobert.ingest.captions.cues import MAX_CUES, TimedText

__all__ = ["holds_times", "parse_subrip", "without_markup"]

_TIME = r"(?:([0-9]{1,4}):)?([0-9]{1,4}):([0-9]{1,2})(?:[.,:]([0-9]{1,3}))?[0-9]*"
_TIMES = re.compile(rf"\s*{_TIME}[ \t]*--+>[ \t]*{_TIME}(?![0-9:])")
_NUMBER = re.compile(r"\s*[0-9]{1,9}\s*")
_MAX_LINE = 200
"""Characters of a line of times."""
_MAX_TEXT = 20_000
# A tag begins with a letter or is a time: "I <3 you" and "a < b" are text. Bounded, or brackets that nobody closes
# take quadratic time.
_MARKUP = re.compile(r"</?[A-Za-z][^<>\n]{0,200}>|<[0-9]{1,4}:[0-9:.]{4,16}>|\{/?[ibuIBU]\}")


def holds_times(text: str) -> bool:
    """Whether a text begins as SubRip does: with a line of times, or a number before one."""
    lines = [line for line in text[:1000].splitlines() if line.strip()][:2]
    times = [bool(_TIMES.match(line[:_MAX_LINE])) for line in lines]
    return any(times) and (times[0] or bool(_NUMBER.fullmatch(lines[0])))


def parse_subrip(text: str) -> Iterator[TimedText]:
    """Cues in the order of the file, their markup taken off."""
    # Converted once too often, a file may end its lines in \r\r\n.
    lines = re.sub(r"\r{0,2}\n|\r", "\n", text.removeprefix("\ufeff")).split("\n")
    marks = [at for at, line in enumerate(lines) if "->" in line and _TIMES.match(line[:_MAX_LINE])][: MAX_CUES + 1]
    numbered = bool(marks) and _NUMBER.fullmatch(_last_row(lines[: marks[0]])) is not None
    for at, following in zip(marks[:MAX_CUES], [*marks[1:], len(lines)], strict=False):
        match = _TIMES.match(lines[at][:_MAX_LINE])
        assert match
        parts = match.groups()
        end = _without_number(lines, at + 1, following, numbered=numbered) if following < len(lines) else following
        yield _seconds(*parts[:4]), _seconds(*parts[4:]), without_markup(_joined(lines[at + 1 : end]))


def without_markup(text: str) -> str:
    """Text without tags, its character references read."""
    return html.unescape(_MARKUP.sub("", text))


def _without_number(lines: Sequence[str], start: int, times: int, *, numbered: bool) -> int:
    """Where the text before a line of times ends. Digits there are the cue's number, or what was said: "350"."""
    last = times - 1
    while numbered and last > start and not lines[last].strip():
        last -= 1  # every line end was doubled
    if last < start or not _NUMBER.fullmatch(lines[last]):
        return times
    after_empty_line = last == start or not lines[last - 1].strip()
    if last < times - 1:
        return last if last > start and after_empty_line else times
    return last if after_empty_line or numbered else times


def _last_row(lines: Sequence[str]) -> str:
    """The last line that is not empty."""
    return next((line for line in reversed(lines) if line.strip()), "")


def _joined(lines: Sequence[str]) -> str:
    kept, size = [], 0
    for line in lines:
        if size > _MAX_TEXT:
            break
        kept.append(line[:_MAX_TEXT])
        size += len(line) + 1
    return "\n".join(kept)


def _seconds(hours: str | None, minutes: str, seconds: str, thousandths: str | None) -> float:
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return (whole * 1000 + int(thousandths or 0)) / 1000
