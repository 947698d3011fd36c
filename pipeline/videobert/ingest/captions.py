"""Captions beside a video: WebVTT, SubRip and JSON sidecars to timed cues. They are hostile text: parsed, never run."""

from __future__ import annotations

import codecs
import html
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pysubs2

__all__ = ["MAX_CAPTION_BYTES", "Cue", "clean_cues", "decode_text", "parse_captions"]

MAX_CAPTION_BYTES = 16 << 20
_LOOK_BYTES = 4_096
_MAX_CUE_CHARACTERS = 2_000
_MAX_CUES = 50_000
"""More than one a second for twelve hours."""
_MAX_TIME_LINE = 200
_EMPTY_LINES = re.compile(r"\n{3,}")
_MAX_MARKS = 100
"""Brackets of a cue. A pattern such as `{[^}]*}` takes quadratic time over brackets that nobody closes: minutes for a
file of one long line."""
_TAG = re.compile(r"<[^<>]{0,200}>")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """Text shown or spoken during [start, end), in seconds from the first frame."""

    start_seconds: float
    end_seconds: float
    text: str


def decode_text(data: bytes) -> str:
    """Bytes of a caption file as text: byte-order mark, else UTF-16 by its zeros, UTF-8, Latin-1 (takes anything)."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    # Times and line ends are ASCII in every language: half of their bytes are zeros, which no other encoding has.
    high, low = data[:_LOOK_BYTES:2].count(0), data[1:_LOOK_BYTES:2].count(0)
    if high + low > min(len(data), _LOOK_BYTES) / 10:
        return data.decode("utf-16-le" if low > high else "utf-16-be", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse_captions(data: bytes, suffix: str) -> list[Cue]:
    """Cues of a `.vtt`, `.srt` or `.json` file in time order. Raises ValueError when it holds none that can be read."""
    if len(data) > MAX_CAPTION_BYTES:
        raise ValueError(f"{len(data):,} bytes of captions; at most {MAX_CAPTION_BYTES:,} are read")
    text = decode_text(data).replace("\x00", "")
    if suffix == ".json":
        try:
            return clean_cues(_json_cues(json.loads(text)))
        except (RecursionError, OverflowError) as error:
            raise ValueError(f"no captions in JSON: {error}") from error
    try:
        subtitles = pysubs2.SSAFile.from_string(_bounded(text), format_=suffix.removeprefix("."))
    except (pysubs2.exceptions.Pysubs2Error, OverflowError) as error:
        raise ValueError(f"not a {suffix} file: {error}") from error
    return clean_cues((e.start / 1000, e.end / 1000, e.plaintext) for e in subtitles.events)


def clean_cues(raw: Iterable[tuple[float, float, str]]) -> list[Cue]:
    """Plain text in time order; cues without text or duration go, rolling captions are said once."""
    cues: list[Cue] = []
    last_line = ""
    # Before the sort, for a time that is no number leaves its neighbours in any order.
    timed = [cue for cue in raw if math.isfinite(cue[0]) and math.isfinite(cue[1]) and cue[1] > max(cue[0], 0.0)]
    for start, end, text in sorted(timed, key=lambda cue: (cue[0], cue[1])):
        lines = [_plain(line) for line in text[:_MAX_CUE_CHARACTERS].splitlines()]
        lines = [line for line in lines if line]
        # Automatic captions scroll: each cue shows the former line again above the new one.
        if lines and lines[0] == last_line and cues and start - cues[-1].end_seconds < 0.1:
            lines = lines[1:]
        if not lines:
            continue
        last_line = lines[-1]
        cues.append(Cue(start_seconds=max(start, 0.0), end_seconds=end, text=" ".join(lines)))
    return cues


def _bounded(text: str) -> str:
    """Subtitles of not too many cues, none longer or with more brackets than a reader could want; spaces made one."""
    lines: list[str] = []
    cues, room, marks = 0, 2 * _MAX_CUE_CHARACTERS, _MAX_MARKS
    for line in _EMPTY_LINES.sub("\n\n", text).split("\n"):
        if "-->" in line:
            lines.append(line[:_MAX_TIME_LINE])
            cues, room, marks = cues + 1, 2 * _MAX_CUE_CHARACTERS, _MAX_MARKS
            if cues > _MAX_CUES:
                break
            continue
        words = " ".join(line[:room].split())
        marks -= words.count("<") + words.count("{")
        if marks < 0:
            words = words.replace("<", " ").replace("{", " ")
        if room > 0 and (words or not lines or lines[-1]):
            lines.append(words)
            room -= len(words) + 1
    return "\n".join(lines)


def _plain(line: str) -> str:
    text = html.unescape(_TAG.sub("", line))
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _json_cues(value: Any) -> list[tuple[float, float, str]]:
    """A list of cues, Whisper's `segments`, or the `chapters` of a yt-dlp info file."""
    if isinstance(value, dict):
        value = value.get("segments") or value.get("chapters") or value.get("cues") or []
    if not isinstance(value, list):
        raise ValueError("JSON captions are a list of {start, end, text}, or an object with `segments` or `chapters`")
    cues = []
    for item in value:
        if not isinstance(item, dict):
            raise ValueError(f"a caption in JSON is an object with start, end and text, got {type(item).__name__}")
        start = item.get("start", item.get("start_time"))
        end = item.get("end", item.get("end_time"))
        text = item.get("text", item.get("title"))
        if isinstance(start, int | float) and isinstance(end, int | float) and isinstance(text, str):
            cues.append((float(start), float(end), text))
    return cues
