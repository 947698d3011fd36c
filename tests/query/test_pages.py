"""Plain pages hold what Arrow decodes, and nothing else is taken for one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from tests.query.rows import unit_vectors
from videobert.query.pages import is_plain, plain_pages
from videobert.runtime.parquet import table_bytes

ROWS, DIMENSION = 20_000, 50


def _table(vectors_ND: NDArray[np.float32]) -> pa.Table:
    flat = pa.array(vectors_ND.reshape(-1))
    return pa.table({"embedding": pa.FixedSizeListArray.from_arrays(flat, vectors_ND.shape[1])})


def _chunks(data: bytes) -> list[tuple[Any, int, memoryview]]:
    """(metadata of the column, rows, bytes) of every row group."""
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [(group.column(0), group.num_rows) for group in groups]
    return [(c, n, memoryview(data)[c.data_page_offset :][: c.total_compressed_size]) for c, n in columns]


def test_the_pages_of_what_the_stage_writes_are_its_vectors() -> None:
    vectors = unit_vectors(ROWS, dimension=DIMENSION)
    chunks = _chunks(table_bytes(_table(vectors)))
    assert len(chunks) == 2 and all(is_plain(column, rows, DIMENSION) for column, rows, _ in chunks)
    pages = [page for _, _, chunk in chunks for page in plain_pages(chunk, DIMENSION)]
    assert len(pages) > len(chunks)
    np.testing.assert_array_equal(np.concatenate(pages), vectors)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd"},
        {"use_dictionary": True},
        {"column_encoding": {"embedding.list.element": "BYTE_STREAM_SPLIT"}},
        {"write_statistics": False},
    ],
)
def test_other_layouts_are_not_taken_for_plain(options: dict[str, Any]) -> None:
    sink = io.BytesIO()
    pq.write_table(
        _table(unit_vectors(100, dimension=DIMENSION)), sink,
        **{"compression": "none", "use_dictionary": False, **options},
    )  # fmt: skip
    ((column, rows, _),) = _chunks(sink.getvalue())
    assert not is_plain(column, rows, DIMENSION)


def test_missing_vectors_or_values_and_another_width_are_not_taken_for_plain() -> None:
    full = _chunks(table_bytes(_table(unit_vectors(100, dimension=DIMENSION))))[0][0]
    assert not is_plain(full, 100, DIMENSION + 1)
    wanted = pa.list_(pa.float32(), 2)
    for values in ([[1.0, 2.0], None], [[1.0, None], [1.0, 2.0]]):
        data = table_bytes(pa.table({"embedding": pa.array(values, wanted)}))
        assert not is_plain(_chunks(data)[0][0], 2, 2)


def test_bytes_that_are_no_page_are_refused() -> None:
    chunk = _chunks(table_bytes(_table(unit_vectors(100, dimension=DIMENSION))))[0][2]
    for broken in (chunk[:-1], chunk[1:], memoryview(b"\xff" * 40)):
        with pytest.raises(ValueError, match="page"):
            list(plain_pages(broken, DIMENSION))
    with pytest.raises(ValueError, match="whole plain vectors of 49"):
        list(plain_pages(chunk, 49))
