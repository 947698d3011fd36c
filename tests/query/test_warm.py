"""Rows in memory give the hits of the files, bit for bit, and follow what is committed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.query.rows import EMBED, row_ids, unit_vectors, write_embeddings
from videobert.query.build import build_index
from videobert.query.embeddings import open_embeddings
from videobert.query.filters import RowFilter
from videobert.query.index import index_path, nearest_in_lists
from videobert.query.search import Hit, nearest
from videobert.query.warm import WarmRows
from videobert.runtime.storage import Store
from videobert.serve.fresh import FreshRoot

Vector = NDArray[np.float32]


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


@pytest.mark.parametrize("probes", [1, 3, 1 << 20])
def test_lists_give_the_hits_of_the_index(store: Store, probes: int) -> None:
    """One batch is new since the index was built: its rows are all compared, here as there."""
    build_index(store, EMBED)
    write_embeddings(store, "0-first", unit_vectors(20, seed=3))
    root = FreshRoot(store.root, fresh_seconds=60, models=1, warm_bytes=1 << 20)
    warmed(root, store)
    fewer = 0
    for query_R in unit_vectors(5, seed=9):
        for where in (
            RowFilter(),
            RowFilter(without=row_ids("a", 2)),
            RowFilter(text="say 1"),
            RowFilter(level="video"),
        ):
            of_index = nearest_in_lists(store, EMBED, query_R, top=60, probes=probes, where=where)
            assert warm_hits(root, store, query_R, where, probes) == of_index
            fewer += len(of_index) < len(nearest(open_embeddings(store, EMBED), query_R, top=60, where=where))
    assert bool(fewer) == (probes < 1 << 20)


def warm_hits(root: FreshRoot, store: Store, query_R: Vector, where: RowFilter, probes: int) -> list[Hit]:
    return warmed(root, store).nearest(query_R, top=60, where=where, probes=probes)


def test_an_index_that_is_built_or_broken_later_is_followed(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = FreshRoot(store.root, fresh_seconds=1e-6, models=1, warm_bytes=1 << 20)
    query_R = unit_vectors(1, seed=9)[0]
    assert len(warm_hits(root, store, query_R, RowFilter(), 1)) == 60  # there is none yet
    index = build_index(store, EMBED)
    assert len(warm_hits(root, store, query_R, RowFilter(), 1)) < 60
    (tmp_path / index.outputs[1].path).write_bytes(b"\x08" + bytes(15))
    write_embeddings(store, "d", unit_vectors(20, seed=4))  # a commit: everything is read again
    assert len(warm_hits(root, store, query_R, RowFilter(), 1)) == 60
    assert "the index is left out" in caplog.text


@pytest.mark.parametrize("broken", ["manifest", "part"])
def test_a_search_without_lists_needs_no_index(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    """Its manifest is torn, or a file is gone: the index is derived, and rows are held in memory all the same."""
    index = build_index(store, EMBED)
    if broken == "manifest":
        (tmp_path / index_path(EMBED)).write_bytes(b"{")
    else:
        (tmp_path / index.outputs[1].path).unlink()
    root, query_R = FreshRoot(store.root, fresh_seconds=60, models=1, warm_bytes=1 << 20), unit_vectors(1, seed=9)[0]
    exact = nearest(open_embeddings(store, EMBED), query_R, top=60)
    assert root.search(vector=query_R, top=60) == exact  # from the files
    assert warm_hits(root, store, query_R, RowFilter(), 0) == exact
    assert warm_hits(root, store, query_R, RowFilter(), 1) == exact
    assert "the index is left out" in caplog.text
