"""Filters return what a look at every row would, and leave unread what cannot hold such rows."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.query.rows import EMBED, row_ids, unit_vectors, write_embeddings
from videobert.errors import InputError
from videobert.query.embeddings import open_embeddings
from videobert.query.filters import RowFilter
from videobert.query.search import nearest, row_groups
from videobert.runtime.storage import Store

ROWS = 60
SILENT = range(20, 34)
VECTORS, QUERY = unit_vectors(ROWS), unit_vectors(1, seed=5)[0]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr("videobert.runtime.parquet.ROW_GROUP_ROWS", 10)
    store = Store(str(tmp_path))
    write_embeddings(store, "a", VECTORS, texts=["" if n in SILENT else f"say {n}" for n in range(ROWS)])
    return store


@pytest.mark.parametrize(
    ("where", "kept", "groups"),
    [
        (RowFilter(), range(ROWS), 6),
        (RowFilter(video="a-v0007"), (14, 15), 1),
        (RowFilter(video="a-v002"), range(40, 60), 2),
        (RowFilter(video="b"), (), 0),
        (RowFilter(from_seconds=30, to_seconds=36), range(20, 24), 1),
        (RowFilter(from_seconds=75), range(50, 60), 1),
        (RowFilter(text="SAY 1"), (1, *range(10, 20)), 5),
        (RowFilter(captions="with"), (*range(20), *range(34, 60)), 5),
        (RowFilter(captions="without"), SILENT, 2),
        (RowFilter(video="a-v0000", without=["a-v0000:0"]), (1,), 1),
        (RowFilter(level="video"), (), 0),
    ],
)
def test_filters_are_pushed_down_and_exact(store: Store, where: RowFilter, kept: list[int], groups: int) -> None:
    rows = open_embeddings(store, EMBED)
    ids = row_ids("a", ROWS)
    expected = sorted(kept, key=lambda n: (-float(VECTORS[n] @ QUERY), ids[n]))
    assert [hit.row_id for hit in nearest(rows, QUERY, top=ROWS, where=where)] == [ids[n] for n in expected]
    assert [hit.row_id for hit in nearest(rows, QUERY, top=1, where=where)] == [ids[n] for n in expected[:1]]
    (file,) = rows.get_fragments()
    assert len(row_groups(file.open(), where)[1]) == groups


@pytest.mark.parametrize("options", [{"compression": "zstd"}, {"compression": "none", "data_page_version": "2.0"}])
def test_files_of_another_layout_are_read_as_ours(tmp_path: Path, options: dict[str, Any]) -> None:
    store, vectors = Store(str(tmp_path)), unit_vectors(3000, dimension=300)
    query = unit_vectors(1, dimension=300, seed=5)[0]
    manifest = write_embeddings(store, "a", vectors)
    before = nearest(open_embeddings(store, EMBED), query, top=5)
    other = io.BytesIO()
    path = manifest.outputs[0].path
    pq.write_table(pq.read_table(store.open(path)), other, use_dictionary=False, **options)
    store.write(path, other.getvalue())
    assert nearest(open_embeddings(store, EMBED), query, top=5) == before


def test_seconds_that_end_before_they_begin_are_refused() -> None:
    with pytest.raises(InputError, match="is not before"):
        RowFilter(from_seconds=3, to_seconds=3)


def test_captions_of_another_kind_are_refused() -> None:
    with pytest.raises(InputError, match="any, with or without"):
        RowFilter(captions="some")  # type: ignore[arg-type]
