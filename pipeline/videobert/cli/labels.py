"""`videobert labels`: annotation files as the one table that fine-tuning reads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from videobert.errors import InputError
from videobert.labels.formats import FORMATS, import_labels
from videobert.labels.read import parse_labels, read_bytes, to_json_lines
from videobert.labels.records import LabelRow

__all__ = ["LabelsCommand"]

Format = Literal["kinetics-csv", "msrvtt", "msrvtt-qa", "youcook2", "activitynet"]


@dataclass(frozen=True, kw_only=True)
class LabelsCommand:
    """Turn a public annotation file into a table of labels, or check such a table.

    videobert labels import train.csv --format kinetics-csv --out labels.jsonl

    videobert labels check labels.csv

    docs/tasks.md has the columns of the table, which may be CSV, JSON lines or Parquet.
    """

    action: tyro.conf.Positional[Literal["import", "check"]]
    """`import`: from one of the formats below. `check`: read a table and say what it holds."""
    file: tyro.conf.Positional[str]
    """Path or URL."""
    format: Format | None = None
    """What an imported file is."""
    out: str = "labels.jsonl"
    """Where the imported table goes."""
    split: Literal["", "train", "validation", "test"] = ""
    """Split of the rows of a file that names none, such as MSRVTT-QA's train_qa.json."""

    def execute(self) -> None:
        data = read_bytes(self.file)
        if self.action == "check":
            print(_summary(parse_labels(data, self.file), self.file))
            return
        if self.format is None:
            raise InputError(f"{self.file} can be imported once --format says what it is: {', '.join(FORMATS)}")
        if not self.out.endswith(".jsonl"):
            raise InputError(f"--out {self.out} is no .jsonl, which is what is written; give such a name")
        rows = import_labels(data, self.file, format=self.format, split=self.split)
        Path(self.out).write_bytes(to_json_lines(rows))
        print(_summary(rows, self.out))


def _summary(rows: list[LabelRow], where: str) -> str:
    """Rows, videos, splits, and what can be learnt from them."""
    splits = Counter(row.split or "no split" for row in rows)
    kinds = {
        "labels": sum(bool(row.label) for row in rows), "values": sum(row.value is not None for row in rows),
        "captions": sum(bool(row.text) for row in rows), "questions": sum(bool(row.question) for row in rows),
        "spans": sum(row.start_seconds is not None for row in rows),
    }  # fmt: skip
    held = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
    divided = ", ".join(f"{count:,} {split}" for split, count in sorted(splits.items()))
    return f"{where}: {len(rows):,} rows of {len({row.video for row in rows}):,} videos; {held}; {divided}"
