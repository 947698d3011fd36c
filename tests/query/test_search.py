"""Search is exact: the same rows in the same order as a full sort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.query.rows import EMBED, row_ids, unit_vectors, write_embeddings
from videobert.errors import InputError
from videobert.query.embeddings import open_embeddings, resolve_embed_spec
from videobert.query.filters import RowFilter
from videobert.query.search import nearest, vector_of_row
from videobert.runtime.storage import Store


def _reference(ids: list[str], scores_N: NDArray[np.float32], top: int) -> list[str]:
    return [row for _, row in sorted(zip((-scores_N).tolist(), ids, strict=True))][:top]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


@pytest.mark.parametrize("top", [1, 7, 300, 1000])
def test_the_best_rows_of_all_batches_best_first(store: Store, top: int) -> None:
    ids: list[str] = []
    vectors = unit_vectors(400)
    for number, batch in enumerate("ab"):
        write_embeddings(store, batch, vectors[200 * number : 200 * number + 200])
        ids += row_ids(batch, 200)
    query = unit_vectors(1, seed=9)[0]
    hits = nearest(open_embeddings(store, EMBED), query, top=top)
    assert [hit.row_id for hit in hits] == _reference(ids, vectors @ query, top)
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(vectors @ query)[::-1][:top], atol=1e-6)
    first = hits[0]
    assert first.batch == first.row_id[0] and first.text.startswith("say") and first.source_uri.startswith("s3://in/")


@settings(max_examples=25)
@given(levels=st.lists(st.integers(0, 2), min_size=1, max_size=30), top=st.integers(1, 12))
def test_equals_come_in_the_order_of_their_ids(
    tmp_path_factory: pytest.TempPathFactory, levels: list[int], top: int
) -> None:
    store = Store(str(tmp_path_factory.mktemp("ties")))
    vectors = np.eye(3, dtype=np.float32)[levels]
    write_embeddings(store, "a", vectors)
    query = np.array([0.0, 0.6, 0.8], np.float32)
    hits = nearest(open_embeddings(store, EMBED), query, top=top)
    assert [hit.row_id for hit in hits] == _reference(row_ids("a", len(levels)), vectors @ query, top)


def test_only_the_level_asked_for_and_not_the_row_itself(store: Store) -> None:
    write_embeddings(store, "a", unit_vectors(6), level="video")
    rows = open_embeddings(store, EMBED)
    own = row_ids("a", 6)[2]
    vector = vector_of_row(rows, own)
    np.testing.assert_array_equal(vector, unit_vectors(6)[2])
    assert nearest(rows, vector, top=5) == []
    assert nearest(rows, vector, top=1, where=RowFilter(level="video"))[0].row_id == own
    assert own not in [
        hit.row_id for hit in nearest(rows, vector, top=9, where=RowFilter(level="video", without=[own]))
    ]


def test_only_committed_files_and_chosen_batches_are_read(store: Store) -> None:
    write_embeddings(store, "a", unit_vectors(4))
    write_embeddings(store, "b", unit_vectors(4))
    store.write(f"embeddings/model={EMBED}/batch=a/00001.parquet", b"a killed run's")
    store.write(f"embeddings/model={EMBED}/batch=c/00000.parquet", b"not committed")
    assert {hit.batch for hit in nearest(open_embeddings(store, EMBED), unit_vectors(1)[0], top=99)} == {"a", "b"}
    assert {hit.batch for hit in nearest(open_embeddings(store, EMBED, ["b"]), unit_vectors(1)[0], top=99)} == {"b"}


def test_wrong_input_is_said(store: Store) -> None:
    with pytest.raises(InputError, match="no model is promoted"):
        resolve_embed_spec(store)
    with pytest.raises(InputError, match="nothing is embedded"):
        open_embeddings(store, EMBED)
    write_embeddings(store, "a", unit_vectors(2))
    assert resolve_embed_spec(store) == resolve_embed_spec(store, "pretrain-1") == resolve_embed_spec(store, EMBED)
    with pytest.raises(InputError, match=f"there are {EMBED}"):
        resolve_embed_spec(store, "pretrain")
    with pytest.raises(InputError, match="batch x has no embeddings"):
        open_embeddings(store, EMBED, ["x"])
    with pytest.raises(InputError, match="at least 1"):
        nearest(open_embeddings(store, EMBED), unit_vectors(1)[0], top=0)
    with pytest.raises(InputError, match="no row"):
        vector_of_row(open_embeddings(store, EMBED), "x")
