"""Rows in memory give the hits of the files, bit for bit, and follow what is committed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.query.rows import EMBED, row_ids, unit_vectors, write_embeddings
from videobert.query.build import build_index
from videobert.query.embeddings import open_embeddings
from videobert.query.filters import RowFilter
from videobert.query.index import nearest_in_lists
from videobert.query.search import nearest
from videobert.query.warm import WarmRows
from videobert.runtime.storage import Store
from videobert.serve.fresh import FreshRoot


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    vectors_ND = unit_vectors(60)
    vectors_ND[40:] = vectors_ND[20:40]  # equal scores, told apart by words and ids
    for number, batch in enumerate("abc"):
        texts = ["" if n % 3 == 0 else f"say {n}" for n in range(20)]
        write_embeddings(store, batch, vectors_ND[20 * number : 20 * number + 20], texts=texts)
    return store


@pytest.mark.parametrize(
    "where",
    [
        RowFilter(), RowFilter(from_seconds=9, to_seconds=20), RowFilter(text="SAY 1"), RowFilter(video="b-"),
        RowFilter(without=row_ids("a", 4)), RowFilter(level="video"),
        RowFilter(captions="with"), RowFilter(captions="without", video="b-"),
    ],
)  # fmt: skip
def test_hits_are_those_of_the_files(store: Store, where: RowFilter) -> None:
    rows = open_embeddings(store, EMBED)
    warm = WarmRows(rows)
    for query_R in unit_vectors(5, seed=9):
        for top in (1, 7, 99):
            expected = nearest(rows, query_R, top=top, where=where, words={"say", "3"})
            assert warm.nearest(query_R, top=top, where=where, words={"say", "3"}) == expected


def warmed(root: FreshRoot, store: Store) -> WarmRows:
    until = time.monotonic() + 30
    while (found := root._warm_rows(EMBED, open_embeddings(store, EMBED))) is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def test_a_search_takes_what_is_committed_now(store: Store) -> None:
    root = FreshRoot(store.root, fresh_seconds=1e-6, models=1, warm_bytes=1 << 20)
    before = warmed(root, store)
    assert warmed(root, store) is before
    changed = unit_vectors(20, seed=5)
    write_embeddings(store, "a", changed)  # the same names, other bytes
    (hit,) = root.search(vector=changed[3], top=1)
    assert (hit.row_id, round(hit.score, 5)) == (row_ids("a", 4)[3], 1.0)
    assert warmed(root, store) is not before
    assert root.search(vector=changed[3], top=1) == [hit]


def test_rows_in_memory_are_all_compared_and_need_no_index(store: Store) -> None:
    build_index(store, EMBED)
    root = FreshRoot(store.root, fresh_seconds=60, models=1, warm_bytes=1 << 20)
    warmed(root, store)
    for query_R in unit_vectors(5, seed=9):
        exact = nearest(open_embeddings(store, EMBED), query_R, top=60)
        assert root.search(vector=query_R, top=60, probes=1) == exact
        of_lists = nearest_in_lists(store, EMBED, query_R, top=60, probes=1)
        assert len(of_lists) < len(exact)  # so that the index would have missed some


def test_more_than_may_be_kept_is_read_from_the_files(store: Store) -> None:
    root = FreshRoot(store.root, fresh_seconds=1, models=1, warm_bytes=100)
    for _ in range(3):
        assert len(root.search(vector=np.ones(8), top=5)) == 5
        assert root._warming is not None
        root._warming.join()
    assert root._warm[EMBED][1] is None
