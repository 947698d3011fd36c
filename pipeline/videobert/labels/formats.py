"""Public annotation files as rows of the canonical table. Each format is one function."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from videobert.errors import InputError
from videobert.labels.records import LabelRow, row_of

__all__ = ["FORMATS", "import_labels"]

Rows = Iterator[dict[str, Any]]


def import_labels(data: bytes, location: str, *, format: str, split: str = "") -> list[LabelRow]:
    """Rows of a file in one of `FORMATS`; `split` is given to those that name none.

    Raises InputError for a file of another format, with the entry that is wrong.
    """
    rows: list[LabelRow] = []
    try:
        for raw in FORMATS[format](data.decode("utf-8-sig")):
            raw["split"] = raw.get("split") or split
            rows.append(row_of(raw, line=len(rows) + 1))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, csv.Error) as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"entry {len(rows) + 1} of {location} is not in the format {format}: {said}; choose another --format, or "
            "correct the file"
        ) from error
    if not rows:
        raise InputError(f"{location} holds no entry in the format {format}; choose another --format")
    return rows


def _kinetics(text: str) -> Rows:
    """Header label,youtube_id,time_start,time_end,split; a clip's file is called as its downloaders do."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    for cells in reader:
        start, end = round(float(cells["time_start"])), round(float(cells["time_end"]))
        yield {
            "video": f"{cells['youtube_id']}_{start:06d}_{end:06d}", "label": [cells.get("label") or _missing("label")],
            "split": cells.get("split") or "",
        }  # fmt: skip


def _msrvtt(text: str) -> Rows:
    """Videos with a category, and 20 sentences for each."""
    raw = json.loads(text)
    splits = {}
    for video in raw["videos"]:
        splits[video["video_id"]] = video.get("split") or ""
        yield {"video": video["video_id"], "label": [str(video["category"])], "split": splits[video["video_id"]]}
    for sentence in raw["sentences"]:
        name = sentence["video_id"]
        yield {"video": name, "text": sentence["caption"], "split": splits[name]}


def _msrvtt_qa(text: str) -> Rows:
    """A list of questions with one answer each, about videos by their number."""
    for entry in json.loads(text):
        name = entry["video_id"]
        video = f"video{name}" if isinstance(name, int) else str(name)
        yield {"video": video, "question": entry["question"], "answer": str(entry["answer"])}


def _youcook2(text: str) -> Rows:
    """The kind of dish of every video, and a sentence for each segment."""
    for name, video in json.loads(text)["database"].items():
        split = video["subset"]
        yield {"video": name, "label": [str(video["recipe_type"])], "split": split}
        for entry in video.get("annotations", ()):
            start, end = entry["segment"]
            yield {
                "video": name, "start_seconds": start, "end_seconds": end, "text": entry["sentence"], "split": split
            }  # fmt: skip


def _activitynet(text: str) -> Rows:
    """Sentences with their times; a file for each split."""
    for name, video in json.loads(text).items():
        for (start, end), sentence in zip(video["timestamps"], video["sentences"], strict=True):
            yield {"video": name, "start_seconds": start, "end_seconds": end, "text": sentence}


FORMATS: dict[str, Callable[[str], Rows]] = {
    "kinetics-csv": _kinetics,
    "msrvtt": _msrvtt,
    "msrvtt-qa": _msrvtt_qa,
    "youcook2": _youcook2,
    "activitynet": _activitynet,
}
"""Name -> the rows of a file's text."""


def _missing(name: str) -> str:
    raise KeyError(name)
