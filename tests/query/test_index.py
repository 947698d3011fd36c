"""The index: with every list probed it is the exact search; what it does not cover is searched exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from tests.query.rows import EMBED, commit, unit_vectors, write_embeddings
from videobert.codebook.config import CodebookConfig
from videobert.errors import InputError
from videobert.query import build
from videobert.query.build import build_index
from videobert.query.embeddings import open_embeddings
from videobert.query.filters import RowFilter
from videobert.query.index import drop_stale, index_path, load_index, nearest_in_lists
from videobert.query.search import Hit, nearest
from videobert.runtime.storage import Store

ALL = 1 << 20
QUERY = unit_vectors(1, seed=9)[0]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two batches; of `b` every vector stands in `a` too, so that equals must be told apart by their ids."""
    store = Store(str(tmp_path))
    write_embeddings(store, "b", unit_vectors(300)[:60])
    write_embeddings(store, "a", unit_vectors(300))
    return store


def exact(store: Store, *, where: RowFilter | None = None, query: NDArray[np.float32] = QUERY) -> list[Hit]:
    return nearest(open_embeddings(store, EMBED), query, top=20, where=where)


def in_lists(store: Store, *, where: RowFilter | None = None, probes: int = ALL) -> list[Hit]:
    return nearest_in_lists(store, EMBED, QUERY, top=20, probes=probes, where=where)


def test_all_lists_give_the_exact_hits_whatever_the_parts(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="videobert")
    index = build_index(store, EMBED)
    assert [part.counts for part in index.outputs[1:]] == [{"segments": 300}, {"segments": 60}]
    assert in_lists(store) == exact(store)
    without = RowFilter(without=[hit.row_id for hit in exact(store)[:3]])
    assert in_lists(store, where=without) == exact(store, where=without)
    only = nearest_in_lists(store, EMBED, QUERY, top=20, probes=ALL, batches=["b"])
    assert only == nearest(open_embeddings(store, EMBED, ["b"]), QUERY, top=20)
    assert caplog.records == []


def test_few_lists_find_most_of_what_is_near(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    middles = unit_vectors(40, dimension=32, seed=1)
    vectors = np.repeat(middles, 50, axis=0) + 0.1 * unit_vectors(2000, dimension=32, seed=2)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(store, "a", vectors)
    build_index(store, EMBED)
    found = 0
    for query in vectors[::100]:
        hits = nearest_in_lists(store, EMBED, query, top=20, probes=6)
        assert hits[0].score == pytest.approx(1, abs=1e-6)
        found += len(set(hits) & set(exact(store, query=query)))
    assert found >= 0.9 * 20 * 20


def test_few_lists_serve_a_query_that_is_far_from_all_rows(tmp_path: Path) -> None:
    """In the order of distance they find .36: lists of scattered rows have short centroids, which are nearest to it."""
    store = Store(str(tmp_path))
    around = np.repeat(unit_vectors(60, dimension=64, seed=1), 50, axis=0)
    around += 0.5 * unit_vectors(3000, dimension=64, seed=2)
    vectors = np.concatenate([around, unit_vectors(1500, dimension=64, seed=5)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(store, "a", vectors)
    build_index(store, EMBED)
    found = 0
    for query in unit_vectors(20, dimension=64, seed=3):
        hits = nearest_in_lists(store, EMBED, query, top=10, probes=16)
        found += len(set(hits) & set(nearest(open_embeddings(store, EMBED), query, top=10)))
    assert found > 0.5 * 10 * 20


def test_what_changed_or_is_new_is_searched_exactly(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    build_index(store, EMBED)
    write_embeddings(store, "b", unit_vectors(80, seed=5))
    write_embeddings(store, "c", unit_vectors(80, seed=6), texts=["", "said"] * 40)
    caplog.set_level("INFO", logger="videobert")
    assert in_lists(store) == exact(store)
    assert "no index serves 2 of 3 files" in caplog.text
    narrowed = (
        RowFilter(text="say 1"), RowFilter(level="video"), RowFilter(video="a-v000"), RowFilter(captions="without")
    )  # fmt: skip
    for where in narrowed:
        assert in_lists(store, where=where) == exact(store, where=where)
    assert "no index serves 3 of 3 files" in caplog.text


def test_only_what_is_new_is_indexed(store: Store) -> None:
    first = build_index(store, EMBED)
    write_embeddings(store, "c", unit_vectors(10, seed=6))
    store.writes = 0
    second = build_index(store, EMBED)
    assert store.writes == 2  # a part and the manifest
    assert first.outputs == second.outputs[:3] and load_index(store, EMBED) == second
    assert in_lists(store) == exact(store)


def test_vectors_of_files_that_are_gone_leave_the_index(store: Store, tmp_path: Path) -> None:
    index = build_index(store, EMBED)
    write_embeddings(store, "b", unit_vectors(59))
    assert drop_stale(store, EMBED) == [index.outputs[2].path]
    assert not (tmp_path / index.outputs[2].path).exists() and (tmp_path / index.outputs[1].path).exists()
    assert in_lists(store) == exact(store)


def test_files_without_segments_are_no_trouble(store: Store) -> None:
    write_embeddings(store, "c", unit_vectors(5), level="video")
    assert build_index(store, EMBED).outputs[-1].counts == {"segments": 0}
    assert in_lists(store) == exact(store)
    write_embeddings(store, "a", unit_vectors(5), level="video")
    write_embeddings(store, "b", unit_vectors(5), level="video")
    with pytest.raises(InputError, match="no segments to index"):
        build_index(store, EMBED)


def test_a_part_is_a_safetensors_file(store: Store, tmp_path: Path) -> None:
    index = build_index(store, EMBED)
    tensors = load_file(tmp_path / index.outputs[1].path)
    assert sorted(map(tuple, tensors["vectors"].tolist())) == sorted(map(tuple, unit_vectors(300).tolist()))
    np.testing.assert_array_equal(tensors["vectors"], unit_vectors(300)[tensors["places"][:, 2]])


@pytest.mark.parametrize(("part_bytes", "parts"), [(1 << 30, 2), (1, 4)])
def test_a_part_of_many_files_and_many_parts_of_a_batch(
    store: Store, monkeypatch: pytest.MonkeyPatch, part_bytes: int, parts: int
) -> None:
    held = [store.read(f"embeddings/model={EMBED}/batch={batch}/00000.parquet") for batch in "bab"]
    commit(store, "embed", "a", {f"{9 - number:05d}.parquet": data for number, data in enumerate(held)})
    monkeypatch.setattr(build, "_PART_BYTES", part_bytes)
    assert len(build_index(store, EMBED).outputs) == 1 + parts
    assert in_lists(store) == exact(store)


def test_an_index_with_a_hierarchy_as_versions_before_built_it_is_read_and_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as former:
        former.setattr(build, "CodebookConfig", lambda **_: CodebookConfig(branching=4, depth=2))
        index = build_index(store, EMBED)
    store.write(index_path(EMBED), replace(index, config={"branching": 4}).to_bytes())
    assert in_lists(store) == exact(store)
    assert 0 < len(in_lists(store, probes=1)) <= 20
    renewed = build_index(store, EMBED)
    assert renewed.config == {"lists": 64}
    assert renewed.outputs[0] != index.outputs[0]
    assert in_lists(store) == exact(store)


def test_an_index_without_centroids_is_told_in_one_sentence(store: Store) -> None:
    index = build_index(store, EMBED)
    store.write(index.outputs[0].path, save({"level.0.counts": np.ones(64, np.int64)}))
    with pytest.raises(InputError, match=r"holds no tensor 'level\.0\.centroids'"):
        in_lists(store)


def test_wrong_input_is_said(store: Store) -> None:
    with pytest.raises(InputError, match="at least 1"):
        in_lists(store, probes=0)
    index = build_index(store, EMBED)
    store.write(index.outputs[1].path, b"damaged")
    with pytest.raises(InputError, match="no safetensors file"):
        in_lists(store)
