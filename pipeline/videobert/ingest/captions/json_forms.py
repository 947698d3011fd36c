"""JSON that lies next to videos: each tool's form is recognised by its keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from videobert.ingest.captions.cues import MAX_CUES, TimedText
from videobert.ingest.captions.subrip import without_markup

__all__ = ["CHAPTERS", "parse_json"]

CHAPTERS = "chapters"
"""The form of yt-dlp's info file. Titles of chapters are not what was said."""


def parse_json(text: str) -> tuple[str, list[TimedText], str]:
    """(form, cues, language as the file names it). Raises ValueError where no form is recognised."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("no captions in JSON: nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from error
    for form, fits, read in _FORMS:
        if fits(value):
            try:
                cues = [(start, end, without_markup(said)) for start, end, said in read(value)][:MAX_CUES]
            except OverflowError as error:
                raise ValueError(f"a time in it is no number of seconds: {error}") from error
            return form, cues, _language(value)
    keys = f"an object with {', '.join(map(repr, list(value)[:5]))}" if isinstance(value, dict) else "no such object"
    raise ValueError(
        f"JSON of a form that is not known ({keys}); read are json3, youtube-transcript-api, whisper.cpp, Whisper, "
        "yt-dlp's info, and lists of {start, end, text}"
    )


def _json3(value: dict[str, Any]) -> Iterator[TimedText]:
    """YouTube: events of segments. Those of a window roll up: each is said until the next one begins."""
    events = [e for e in value["events"] if isinstance(e, dict) and _said(e)]
    for number, event in enumerate(events):
        start, length = _number(event.get("tStartMs")), _number(event.get("dDurationMs"))
        if start is None or length is None:
            continue
        end = start + length
        following = _number(events[number + 1].get("tStartMs")) if number + 1 < len(events) else None
        if "wWinId" in event and following is not None and start < following < end:
            end = following
        yield start / 1000, end / 1000, _said(event)


def _said(event: dict[str, Any]) -> str:
    segments = event.get("segs")
    parts = [s.get("utf8") for s in segments if isinstance(s, dict)] if isinstance(segments, list) else []
    return "".join(part for part in parts if isinstance(part, str)).strip()


def _whisper_cpp(value: dict[str, Any]) -> Iterator[TimedText]:
    for item in _objects(value["transcription"]):
        offsets = item.get("offsets")
        if isinstance(offsets, dict):
            start, end = _number(offsets.get("from")), _number(offsets.get("to"))
            yield from _timed(item, start and start / 1000, end and end / 1000)


def _whisper(value: dict[str, Any]) -> Iterator[TimedText]:
    yield from _plain(value["segments"])


def _pipeline(value: dict[str, Any]) -> Iterator[TimedText]:
    """Transformers' speech pipeline: `timestamp` is a pair, open at the end of the sound."""
    for item in _objects(value["chunks"]):
        pair = item.get("timestamp")
        if isinstance(pair, list) and len(pair) == 2:
            yield from _timed(item, _number(pair[0]), _number(pair[1]))


def _info(value: dict[str, Any]) -> Iterator[TimedText]:
    for item in _objects(value.get("chapters") or []):
        yield from _timed(item, _number(item.get("start_time")), _number(item.get("end_time")), name="title")


def _plain(items: Any) -> Iterator[TimedText]:
    """Items of {start, end, text}, or of {start, duration, text} as youtube-transcript-api has them."""
    for item in _objects(items):
        start, end, length = (_number(item.get(key)) for key in ("start", "end", "duration"))
        if end is None and start is not None and length is not None:
            end = start + length
        yield from _timed(item, start, end)


def _timed(item: dict[str, Any], start: float | None, end: float | None, *, name: str = "text") -> Iterator[TimedText]:
    text = item.get(name)
    if start is not None and end is not None and isinstance(text, str):
        yield start, end, text


def _objects(items: Any) -> Iterator[dict[str, Any]]:
    for item in items:
        if not isinstance(item, dict):
            raise ValueError(f"a caption in JSON is an object with start, end and text, got {type(item).__name__}")
        yield item


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _language(value: Any) -> str:
    """The language a recogniser heard; of an info file, that of its video."""
    if not isinstance(value, dict):
        return ""
    result = value.get("result")
    places = (value.get("language"), value.get("language_code"), isinstance(result, dict) and result.get("language"))
    return next((place for place in places if isinstance(place, str)), "")


def _holds(*keys: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and any(isinstance(value.get(key), list) for key in keys)


def _is_info(value: Any) -> bool:
    return isinstance(value, dict) and ("chapters" in value or {"id", "title"} <= value.keys())


_FORMS: tuple[tuple[str, Callable[[Any], bool], Callable[[Any], Iterator[TimedText]]], ...] = (
    ("json3", _holds("events"), _json3),
    ("whisper.cpp", _holds("transcription"), _whisper_cpp),
    ("whisper", _holds("segments"), _whisper),
    ("transformers", _holds("chunks"), _pipeline),
    ("transcript", _holds("snippets", "cues"), lambda value: _plain(value.get("snippets") or value.get("cues"))),
    ("transcript", lambda value: isinstance(value, list), _plain),
    (CHAPTERS, _is_info, _info),
)
"""Name of the form, whether a value has it, and its reader."""
