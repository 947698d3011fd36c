"""One label: a video, a span of it, and what is known of it. Standard library only.

Columns of the canonical table, as CSV, JSON lines or Parquet; only `video` is needed everywhere, the rest by task:

    video           id (sha256), URI, file name, or file name without suffix
    start_seconds   of the span; both empty: the whole video
    end_seconds
    label           class; several as a list, in CSV with | between them
    value           number, for regression
    text            caption
    question        with `answer`, and `choices` where they are given (a list, in CSV with | between them)
    answer
    choices
    split           train, validation or test; empty: drawn from the video
    group           what must not be divided between splits, such as a speaker; empty: the video
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["COLUMNS", "SPLITS", "LabelRow", "row_of"]

SPLITS = ("train", "validation", "test")
COLUMNS = (
    "video", "start_seconds", "end_seconds", "label", "value", "text", "question", "answer", "choices", "split",
    "group",
)  # fmt: skip
_SPLIT_NAMES = {
    "train": "train", "training": "train", "validation": "validation", "validate": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "test": "test", "testing": "test", "": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """One row of the canonical table."""

    video: str
    """As the file names it."""
    start_seconds: float | None = None
    end_seconds: float | None = None
    """None and None: the whole video."""
    label: tuple[str, ...] = ()
    value: float | None = None
    text: str = ""
    question: str = ""
    answer: str = ""
    choices: tuple[str, ...] = ()
    split: str = ""
    group: str = ""
    line: int = 0
    """Where it stands in its file, from 1."""

    def to_json(self) -> dict[str, Any]:
        """What it says, for a line of JSON; what is empty is left out."""
        said = {name: value for name, value in asdict(self).items() if value not in (None, "", ()) and name != "line"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}


def row_of(raw: Mapping[str, Any], *, line: int) -> LabelRow:
    """A row from its columns. Raises ValueError with what is wrong in it."""
    unknown = [name for name in raw if name not in COLUMNS]
    if unknown:
        raise ValueError(f"column {unknown[0]!r} is none of {', '.join(COLUMNS)}")
    start, end = _number(raw, "start_seconds"), _number(raw, "end_seconds")
    if (start is None) != (end is None):
        raise ValueError("a span needs start_seconds and end_seconds, or neither for the whole video")
    if start is not None and end is not None and not 0 <= start < end:
        raise ValueError(f"the span {start} .. {end} is empty or negative")
    split = _text(raw, "split").lower()
    if split not in _SPLIT_NAMES:
        raise ValueError(f"split {split!r} is none of {', '.join(SPLITS)}")
    video = _text(raw, "video")
    if not video:
        raise ValueError("video is empty")
    return LabelRow(
        video=video, start_seconds=start, end_seconds=end, label=_texts(raw, "label"), value=_number(raw, "value"),
        text=_text(raw, "text"), question=_text(raw, "question"), answer=_text(raw, "answer"),
        choices=_texts(raw, "choices"), split=_SPLIT_NAMES[split], group=_text(raw, "group"), line=line,
    )  # fmt: skip


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if isinstance(value, list | dict):
        raise ValueError(f"{name} is {value!r}; it takes one text")
    return "" if value is None else str(value).strip()


def _texts(raw: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = raw.get(name)
    if value is None:
        return ()
    parts: Sequence[Any] = value if isinstance(value, list) else str(value).split("|")
    found = tuple(text for part in parts if (text := str(part).strip()))
    if len(set(found)) < len(found):
        raise ValueError(f"{name} names {max(found, key=found.count)!r} twice")
    return found


def _number(raw: Mapping[str, Any], name: str) -> float | None:
    value = raw.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    number = math.nan
    if not isinstance(value, bool | list | dict):
        with suppress(ValueError):
            number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {value!r}; it takes a number")
    return number
