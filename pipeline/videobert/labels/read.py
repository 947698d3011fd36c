"""Reading the canonical table: CSV, JSON lines or Parquet, by its suffix. What is wrong is said with its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from videobert.errors import InputError
from videobert.labels.records import LabelRow, row_of
from videobert.runtime.filesystem import open_filesystem

__all__ = ["parse_labels", "read_bytes", "to_json_lines"]


def read_bytes(url: str) -> bytes:
    """A whole file. Raises InputError where there is none."""
    filesystem, path = open_filesystem(url)
    try:
        return bytes(filesystem.cat_file(path))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"labels {url} is not there, or no file; correct the path") from error


def parse_labels(data: bytes, location: str) -> list[LabelRow]:
    """Rows of a file that ends in .csv, .jsonl or .parquet. Raises InputError with the line that is wrong."""
    suffix = location.rsplit(".", 1)[-1].lower()
    readers = {"csv": _csv, "jsonl": _json_lines, "parquet": _parquet}
    if suffix not in readers:
        raise InputError(f"labels {location} is no .csv, .jsonl or .parquet; `videobert labels import` reads others")
    found = []
    line = 1
    try:
        for line, raw in readers[suffix](data):
            found.append(row_of(raw, line=line))
    except (ValueError, csv.Error) as error:
        at = getattr(error, "line", line)
        raise InputError(f"line {at} of labels {location}: {error}; correct it") from error
    if not found:
        raise InputError(f"labels {location} holds no row; give at least one")
    return found


def to_json_lines(rows: list[LabelRow]) -> bytes:
    """The canonical table as JSON lines, which every row fits."""
    return "".join(json.dumps(row.to_json(), sort_keys=True, ensure_ascii=False) + "\n" for row in rows).encode()


class _LineError(ValueError):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _text_of(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _LineError(data.count(b"\n", 0, error.start) + 1, f"no UTF-8 ({error.reason})") from error


def _csv(data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(_text_of(data), newline=""), strict=True)
    header: list[str] = []
    line = 1
    for cells in reader:
        begin, line = line, reader.line_num + 1
        if not cells:
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            if "video" not in header or len(set(header)) < len(header):
                raise _LineError(begin, f"the header {', '.join(header)} needs `video`, and every column once")
            continue
        if len(cells) != len(header):
            raise _LineError(begin, f"{len(cells)} cells under a header of {len(header)}")
        yield begin, dict(zip(header, cells, strict=True))


def _json_lines(data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in enumerate(_text_of(data).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _LineError(line, f"no JSON ({error})") from error
        if not isinstance(raw, dict):
            raise _LineError(line, f"no JSON object but {type(raw).__name__}")
        yield line, raw


def _parquet(data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    except pa.ArrowInvalid as error:
        raise _LineError(1, f"no Parquet ({error})") from error
    yield from enumerate(table.to_pylist(), start=1)
