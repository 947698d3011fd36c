"""What people said of flags: a table with the columns row_id, rule and verdict; and labels made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from videobert.errors import InputError
from videobert.query.segments import Segments
from videobert.runtime.record_files import read_rows

__all__ = ["label_lines", "read_verdicts"]

_SAID = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def read_verdicts(url: str) -> dict[tuple[str, str], bool]:
    """(row id, rule) -> whether the flag was right; the last of several counts, what is empty is left out.

    Raises InputError for a file that is none, and for a verdict that is neither yes nor no.
    """
    table = read_rows(url, what="verdicts")
    if missing := {"row_id", "rule", "verdict"} - set(table.column_names):
        raise InputError(f"{url} lacks {', '.join(sorted(missing))}; verdicts have row_id, rule and verdict")
    found = {}
    for row in table.select(["row_id", "rule", "verdict"]).to_pylist():
        said = "" if row["verdict"] is None else str(row["verdict"]).strip().lower()
        if not said:
            continue
        if said not in _SAID:
            raise InputError(f"verdict {row['verdict']!r} of {row['row_id']} in {url} is unknown; write yes or no")
        found[str(row["row_id"]), str(row["rule"])] = _SAID[said]
    return found


def label_lines(verdicts: Mapping[tuple[str, str], bool], segments: Segments) -> bytes:
    """The verdicts as labels that `videobert finetune` takes, JSON lines: RULE where it was right, else `not RULE`.

    Several rules over one segment are several classes of it. Segments that are embedded no longer are left out.
    """
    said: dict[str, list[str]] = {}
    for (row_id, rule), right in sorted(verdicts.items()):
        said.setdefault(row_id, []).append(rule if right else f"not {rule}")
    rows = [
        {"video": video, "start_seconds": row["start_seconds"], "end_seconds": row["end_seconds"],
         "label": said[row["row_id"]]}
        for row, video in zip(segments.rows, segments.videos, strict=True)
        if row["row_id"] in said
    ]  # fmt: skip
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
