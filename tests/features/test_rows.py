"""The file of a shard is that of its whole table, though only one row group of it is ever in memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from videobert.features.rows import ClipRows, features_schema
from videobert.runtime.parquet import table_bytes, vectors_of
from videobert.video.options import DecodeOptions

DIMENSION, GROUP = 4, 10


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videobert.runtime.parquet.ROW_GROUP_BYTES", GROUP * 4 * DIMENSION)


def vectors(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(count).standard_normal((count, DIMENSION)).astype(np.float32)


@pytest.mark.parametrize("counts", [(), (3,), (9, 1), (7, 25), (40,)])
def test_bytes_are_those_of_the_whole_table(tmp_path: Path, counts: tuple[int, ...]) -> None:
    tables = [features_schema(DIMENSION).empty_table()]
    with (tmp_path / "spool").open("w+b") as spool:
        rows = ClipRows(spool, dimension=DIMENSION, options=DecodeOptions())
        for number, count in enumerate(counts):
            features_ND, index_N = vectors(count), np.arange(count, dtype=np.int32)
            for part in np.array_split(np.arange(count), 3):
                rows.add(index_N[part], features_ND[part])
            rows.keep(f"v{number}", [])
            tables.append(table(f"v{number}", features_ND))
        rows.write(tmp_path / "found.parquet")
    assert (tmp_path / "found.parquet").read_bytes() == table_bytes(pa.concat_tables(tables))
    groups = pq.ParquetFile(tmp_path / "found.parquet").metadata.num_row_groups
    assert groups == max(1, -(-sum(counts) // GROUP))


def table(video_id: str, features_ND: NDArray[np.float32]) -> pa.Table:
    clip_N = np.arange(len(features_ND), dtype=np.int32)
    feature = pa.FixedSizeListArray.from_arrays(pa.array(features_ND.reshape(-1)), DIMENSION)
    columns = [[video_id] * len(clip_N), clip_N, clip_N * 1.5, clip_N * 1.5 + 1.5, feature]
    return pa.Table.from_arrays([pa.array(column) for column in columns], schema=features_schema(DIMENSION))


def test_a_video_that_fails_in_the_end_leaves_nothing(tmp_path: Path) -> None:
    with (tmp_path / "spool").open("w+b") as spool:
        rows = ClipRows(spool, dimension=DIMENSION, options=DecodeOptions())
        for name, start in (("a", 0), ("", 20), ("b", 40)):
            rows.add(np.array([2, 5], np.int32), vectors(60)[start : start + 2])
            if name:
                rows.keep(name, [(1.5, 3.25)] if name == "b" else [])
            else:
                rows.drop()
        rows.write(tmp_path / "found.parquet")
        assert rows.counts == {"videos": 2, "clips": 4, "damaged_milliseconds": 1750}
    found = pq.read_table(tmp_path / "found.parquet")
    assert found["video_id"].to_pylist() == ["a", "a", "b", "b"] and found["clip"].to_pylist() == [2, 5, 2, 5]
    assert found["start_seconds"].to_pylist() == [3.0, 7.5] * 2 and found["end_seconds"].to_pylist() == [4.5, 9.0] * 2
    assert np.array_equal(vectors_of(found), vectors(60)[[0, 1, 40, 41]])
    assert json.loads(found.schema.metadata[b"damaged_seconds"]) == {"b": [[1.5, 3.25]]}


def test_a_clip_that_is_not_whole_ends_where_its_pictures_end_and_is_named(tmp_path: Path) -> None:
    path, options = tmp_path / "a.parquet", DecodeOptions(clip_stride=0.5, last_clip="hold")
    with (tmp_path / "spool").open("w+b") as spool:
        rows = ClipRows(spool, dimension=DIMENSION, options=options)
        rows.add(np.array([0, 1, 2], np.int32), np.zeros((3, DIMENSION), np.float32))
        rows.keep("a", [], held_from=2.25)
        rows.add(np.array([0], np.int32), np.ones((1, DIMENSION), np.float32))
        rows.keep("b", [])
        assert rows.counts == {"videos": 2, "clips": 4, "damaged_milliseconds": 0, "incomplete_clips": 1}
        rows.write(path)
    table = pq.read_table(path)
    assert table["start_seconds"].to_pylist() == [0, 0.5, 1, 0]
    assert table["end_seconds"].to_pylist() == [1.5, 2, 2.25, 1.5]
    assert json.loads(table.schema.metadata[b"held_from"]) == {"a": 2.25}
