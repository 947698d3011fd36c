"""Parquet: the same table gives the same bytes, vectors come back exactly."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from videobert.runtime.parquet import ROW_GROUP_ROWS, read_table, table_bytes, vectors_of
from videobert.runtime.storage import Store


def _table(vectors_ND: NDArray[np.float32]) -> pa.Table:
    count, dimension = vectors_ND.shape
    feature = pa.FixedSizeListArray.from_arrays(pa.array(vectors_ND.reshape(-1)), dimension)
    return pa.table({"video_id": pa.array([f"v{n // 4}" for n in range(count)]), "feature": feature})


def _vectors(count: int, dimension: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((count, dimension)).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 7, ROW_GROUP_ROWS + 1])
def test_vectors_come_back_bit_for_bit(tmp_path: Path, count: int) -> None:
    store, vectors_ND = Store(str(tmp_path)), _vectors(count)
    store.write("x.parquet", table_bytes(_table(vectors_ND)))
    found_ND = vectors_of(read_table(store, "x.parquet"))
    assert found_ND.dtype == np.float32 and found_ND.shape == (count, 3)
    np.testing.assert_array_equal(found_ND, vectors_ND)


def test_a_slice_keeps_its_own_rows() -> None:
    vectors_ND = _vectors(10)
    np.testing.assert_array_equal(vectors_of(_table(vectors_ND).slice(3, 4)), vectors_ND[3:7])
    chunked = pa.concat_tables([_table(vectors_ND[:2]), _table(vectors_ND[2:])])
    np.testing.assert_array_equal(vectors_of(chunked), vectors_ND)


def test_equal_tables_have_equal_bytes_however_they_were_made() -> None:
    vectors_ND = _vectors(50)
    whole = _table(vectors_ND)
    pieces = pa.concat_tables([_table(vectors_ND[:48]).slice(0, 20), whole.slice(20, 30)])
    assert table_bytes(whole) == table_bytes(_table(vectors_ND.copy())) == table_bytes(pieces.combine_chunks())


def test_layout_is_what_readers_profit_from() -> None:
    data = table_bytes(_table(_vectors(ROW_GROUP_ROWS + 1)))
    with pq.ParquetFile(io.BytesIO(data)) as file:
        assert file.metadata.num_row_groups == 2
        names, vectors = (file.metadata.row_group(0).column(n) for n in (0, 1))
        assert names.compression == vectors.compression == "ZSTD"
        assert any("DICT" in encoding for encoding in names.encodings)
        assert not any("DICT" in encoding for encoding in vectors.encodings)
        assert names.statistics.min == "v0"


def test_columns_can_be_left_out(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("x.parquet", table_bytes(_table(_vectors(3))))
    assert read_table(store, "x.parquet", columns=["video_id"]).column_names == ["video_id"]


def test_what_every_search_reads_is_not_packed_and_all_else_is() -> None:
    table = _table(_vectors(500, 40))
    both = table.append_column("embedding", table["feature"])
    group = pq.ParquetFile(io.BytesIO(table_bytes(both))).metadata.row_group(0)
    packed = {group.column(i).path_in_schema: group.column(i).compression for i in range(group.num_columns)}
    assert packed == {"video_id": "ZSTD", "feature.list.element": "ZSTD", "embedding.list.element": "UNCOMPRESSED"}
    split = [group.column(i).path_in_schema for i in range(3) if "BYTE_STREAM_SPLIT" in group.column(i).encodings]
    assert split == ["feature.list.element"]
    assert [group.column(i).has_offset_index for i in range(3)] == [True] * 3  # so that pages hold whole rows
