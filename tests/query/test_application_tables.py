"""Tables of applications, as pages read them: whatever their columns are called, in parts, filtered and sorted."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from videobert.errors import InputError
from videobert.query.application_tables import TablePart, TableQuery, list_tables, read_table_part, table_summary
from videobert.runtime.record_files import NONE, write_records
from videobert.runtime.storage import Store

ROWS = 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Row groups of seven rows, so that a part crosses their bounds."""
    path = tmp_path_factory.mktemp("applications")
    table = pa.table({
        "row_id": [f"v{n}:0" for n in range(ROWS)],
        "score": [math.nan if n == 3 else float(n * 7 % ROWS) for n in range(ROWS)],
        "alarm": [n % 2 == 0 for n in range(ROWS)],
        "verdict": [("yes", "no", "", None)[n % 4] for n in range(ROWS)],
        "embedding": [[0.0, 1.0]] * ROWS,
        "model": ["a.1"] * 25 + ["b.2"] * 25,
    })  # fmt: skip
    (path / "best-of").mkdir()
    pq.write_table(table, path / "best-of" / "a.parquet", row_group_size=7)
    pq.write_table(table.slice(0, 0), path / "best-of" / "b.parquet")
    (path / "best-of" / "broken.parquet").write_bytes(b"no table")
    (path / "best-of" / "note.txt").write_text("not one")
    (path / "best-of" / "no key.parquet").write_text("not one")
    return str(path)


def numbers(folder: str, **asked: str | int) -> list[int]:
    part = read_table_part(folder, "best-of", "a", TableQuery(**asked))  # type: ignore[arg-type]
    return [int(str(row["row_id"])[1:-2]) for row in part.rows]


def test_tables_are_found_by_their_place(folder: str) -> None:
    found = list_tables(Store(folder))
    assert [(one.application, one.table) for one in found] == [("best-of", name) for name in ("broken", "b", "a")]
    assert all(one.written_at.endswith("+00:00") and one.size_bytes > 0 for one in found)
    assert table_summary(Store(folder), "best-of", "a") == (ROWS, ["a.1", "b.2"])
    assert table_summary(Store(folder), "best-of", "b")[0] == 0
    assert list_tables(Store(f"{folder}/none")) == []


@pytest.mark.parametrize("top", [1, 6, 7, 8, 50])
def test_parts_together_are_the_table(folder: str, top: int) -> None:
    found = [n for offset in range(0, ROWS, top) for n in numbers(folder, top=top, offset=offset)]
    assert found == list(range(ROWS)) and numbers(folder, offset=ROWS) == []


def test_what_is_shown_are_texts_numbers_and_truth_values(folder: str) -> None:
    part = read_table_part(folder, "best-of", "a", TableQuery(offset=2, top=2))
    assert part.columns == ["row_id", "score", "alarm", "verdict", "model"] and part.total == ROWS
    assert part.rows[0] == {"row_id": "v2:0", "score": 14.0, "alarm": True, "verdict": "", "model": "a.1"}
    assert part.rows[1]["score"] is None and part.rows[1]["verdict"] is None, "JSON has no NaN"
    assert part.verdicts == {"": 24, "no": 13, "yes": 13}


def test_rows_are_filtered_by_what_a_column_says(folder: str) -> None:
    assert numbers(folder, column="alarm", value="true", top=50) == list(range(0, ROWS, 2))
    assert numbers(folder, column="verdict", value="", top=50) == [n for n in range(ROWS) if n % 4 > 1]
    assert numbers(folder, column="row_id", value="v9:0") == [9]
    part = read_table_part(folder, "best-of", "a", TableQuery(column="verdict", value="yes"))
    assert part.total == 13 and part.verdicts == {"yes": 13}


@pytest.mark.parametrize("sort", ["score", "-score"])
def test_rows_are_sorted_with_what_is_unknown_at_the_end(folder: str, sort: str) -> None:
    scores = np.array([n * 7 % ROWS for n in range(ROWS)], float)
    expected = [n for n in np.argsort(scores if sort == "score" else -scores, kind="stable").tolist() if n != 3]
    assert numbers(folder, sort=sort, top=50) == [*expected, 3]
    assert numbers(folder, sort=sort, top=5, offset=10) == expected[10:15]
    odd = [n for n in expected if n % 2] + [3]
    assert numbers(folder, sort=sort, column="alarm", value="false", top=50) == odd


def test_a_sorted_truth_value_keeps_the_order_of_equals(folder: str) -> None:
    assert numbers(folder, sort="-alarm", top=50) == [*range(0, ROWS, 2), *range(1, ROWS, 2)]


def test_what_is_not_there_is_said(folder: str) -> None:
    with pytest.raises(FileNotFoundError):
        read_table_part(folder, "best-of", "none", TableQuery())
    with pytest.raises(InputError, match="no column 'title'; it has row_id, score"):
        read_table_part(folder, "best-of", "a", TableQuery(sort="-title"))
    with pytest.raises(InputError, match=r"broken.parquet is no readable Parquet"):
        read_table_part(folder, "best-of", "broken", TableQuery())
    for name in ("..", "../best-of", "a/b", ""):
        with pytest.raises(InputError, match="no name"):
            read_table_part(folder, name, "a", TableQuery())


def test_any_columns_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()

    def part(table: pa.Table, **asked: str) -> TablePart:
        pq.write_table(table, tmp_path / "odd" / "a.parquet")
        return read_table_part(str(tmp_path), "odd", "a", TableQuery(**asked))  # type: ignore[arg-type]

    listed = pa.table({"model": [["a"], ["b"]], "row_id": ["v:0", "v:1"]})
    assert [row["row_id"] for row in part(listed).rows] == ["v:0", "v:1"]
    assert table_summary(Store(str(tmp_path)), "odd", "a") == (2, [])
    assert part(pa.table({"vector": [[1.0], [2.0]]})).rows == [{}, {}]
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["x", "x", "y"])
    assert part(twice).rows == [{"y": 3}]
    with pytest.raises(InputError, match="no column 'x'"):
        part(twice, sort="x")
    with pytest.raises(InputError, match="a name that DuckDB keeps"):
        part(pa.table({"File_Row_Number": [1]}))
    judged = part(pa.table({"verdict": [True, False, None]}), column="verdict", value="false")
    assert judged.rows == [{"verdict": False}] and judged.verdicts == {"false": 1}


@pytest.mark.parametrize("place", [-12, 8])
def test_a_garbled_table_is_said(tmp_path: Path, place: int) -> None:
    (tmp_path / "odd").mkdir()
    path = tmp_path / "odd" / "a.parquet"
    pq.write_table(pa.table({"row_id": [f"v:{n}" for n in range(500)]}), path, compression="zstd")
    whole = bytearray(path.read_bytes())
    whole[place - 40 if place < 0 else place : place if place < 0 else place + 400] = b"\xff" * (
        40 if place < 0 else 400
    )
    path.write_bytes(whole)
    with pytest.raises(InputError, match="no readable Parquet"):
        read_table_part(str(tmp_path), "odd", "a", TableQuery())


def test_an_empty_table_has_no_rows(folder: str) -> None:
    part = read_table_part(folder, "best-of", "b", TableQuery(sort="score", column="alarm", value="true"))
    assert (part.rows, part.total, part.verdicts) == ([], 0, {})


def test_a_column_with_a_dictionary_shows_its_values(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    kinds = pa.array(["b", None, "a", "b"]).dictionary_encode()
    marks = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1, 0], pa.int8()), pa.array([30, 4]))
    table = pa.table({"kind": kinds, "mark": marks, "verdict": kinds})
    pq.write_table(table, tmp_path / "odd" / "a.parquet", row_group_size=3)

    def part(**asked: str) -> TablePart:
        return read_table_part(str(tmp_path), "odd", "a", TableQuery(**asked))  # type: ignore[arg-type]

    assert part().columns == ["kind", "mark", "verdict"]
    assert [row["kind"] for row in part().rows] == ["b", None, "a", "b"]
    assert [row["mark"] for row in part().rows] == [30, 4, 4, 30]
    assert [row["mark"] for row in part(sort="mark").rows] == [4, 4, 30, 30]
    assert [row["kind"] for row in part(sort="-kind").rows] == ["b", "b", "a", None]
    assert [row["mark"] for row in part(column="kind", value="b").rows] == [30, 30]
    assert [row["kind"] for row in part(column="mark", value="4").rows] == [None, "a"]
    assert part().verdicts == {"": 1, "a": 1, "b": 2}


def test_what_says_that_there_is_none_is_told_by_the_table(tmp_path: Path) -> None:
    write_records(f"{tmp_path}/odd/a.parquet", Scored, [Scored(surprise=-1.0, change=-1.0)])
    part = read_table_part(str(tmp_path), "odd", "a", TableQuery())
    assert (part.none, part.rows) == ({"surprise": -1.0}, [{"surprise": -1.0, "change": -1.0}])
    others = pa.schema([pa.field(name, pa.int64(), metadata={NONE: name}) for name in ("no number", "nan")])
    pq.write_table(pa.table({"no number": [1], "nan": [1]}, schema=others), tmp_path / "odd" / "a.parquet")
    assert read_table_part(str(tmp_path), "odd", "a", TableQuery()).none == {}


def test_names_of_columns_differ_in_case_and_may_hold_anything(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    table = pa.table({"A": ["big"], "vector": [[1.0]], "a": ["small"], "q\"'; drop": [1], " ": [2]})
    pq.write_table(table, tmp_path / "odd" / "a.parquet")
    part = read_table_part(str(tmp_path), "odd", "a", TableQuery())
    assert part.rows == [{"A": "big", "a": "small", "q\"'; drop": 1, " ": 2}]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A record of which one number may say that there is none."""

    surprise: float = field(metadata={NONE: -1.0})
    change: float


class Counted(io.FileIO):
    """A file that knows how much was read of it."""

    total = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        Counted.total += len(data)
        return data


@pytest.mark.parametrize("asked", [{}, {"offset": 99_990}, {"offset": 199_990}, {"sort": "-n", "offset": 7}])
def test_a_page_reads_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]) -> None:
    """Of 25 MB of texts in one row group less than a tenth, and for an order its column."""
    (tmp_path / "odd").mkdir()
    path, rows = tmp_path / "odd" / "a.parquet", 200_000
    texts = [hashlib.sha512(str(n).encode()).hexdigest() for n in range(rows)]
    table = pa.table({"n": range(rows), "text": texts, "verdict": ["", "yes"] * (rows // 2)})
    pq.write_table(table, path, row_group_size=rows, use_dictionary=["verdict"], compression="none")
    monkeypatch.setattr(Store, "open", lambda self, _: Counted(path))
    monkeypatch.setattr(Counted, "total", 0)
    part = read_table_part(str(tmp_path), "odd", "a", TableQuery(top=10, **asked))
    first = asked.get("offset", 0)
    order = range(rows)[::-1] if "sort" in asked else range(rows)
    assert [row["text"] for row in part.rows] == [texts[n] for n in order[first : first + 10]]
    assert path.stat().st_size > 25e6 and 0 < Counted.total < 2.5e6 + ("sort" in asked) * 8 * rows
