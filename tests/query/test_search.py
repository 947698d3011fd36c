"""Search is exact: the same rows in the same order as a full sort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.query.rows import EMBED, MODEL, row_ids, unit_vectors, write_embeddings
from videobert.errors import InputError
from videobert.query.embeddings import open_embeddings, resolve_embed_spec
from videobert.query.filters import RowFilter
from videobert.query.search import Hit, best_first, nearest, spread_over_videos, vector_and_text_of_row, words_of
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
    vector, text = vector_and_text_of_row(rows, own)
    assert text == "say 2"
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
        vector_and_text_of_row(open_embeddings(store, EMBED), "x")


def test_of_equal_scores_those_that_share_more_words_come_first(store: Store) -> None:
    """Wherever they lie: the rows that equal the last of the best are all weighed."""
    vectors = np.eye(3, dtype=np.float32)[[0] * 60 + [1] * 4]
    for batch in "ab":
        write_embeddings(store, batch, vectors)
    rows, query = open_embeddings(store, EMBED), np.array([0.6, 0.8, 0.0], np.float32)
    assert [hit.text for hit in nearest(rows, query, top=1)] == ["say 60"]
    words = words_of("SAY, what 41 or 63?")
    found = [hit.row_id for hit in nearest(rows, query, top=10, words=words)]
    ids = {batch: row_ids(batch, 64) for batch in "ab"}
    assert found[:2] == [ids["a"][63], ids["b"][63]]
    assert found[2:8] == [ids[batch][n] for batch in "ab" for n in (60, 61, 62)]
    assert found[8:] == [ids["a"][41], ids["b"][41]]


def _hit(score: float, row_id: str) -> Hit:
    return Hit(
        score=score, row_id=row_id, title="", start_seconds=0, end_seconds=1, text="", source_uri="", batch="a"
    )  # fmt: skip


@settings(max_examples=200)
@given(
    videos=st.lists(st.integers(0, 5), max_size=60), top=st.integers(1, 8), per_video=st.integers(1, 4),
)  # fmt: skip
def test_the_limit_per_video_is_that_of_a_walk_down_the_whole_list(videos: list[int], top: int, per_video: int) -> None:
    ranked = best_first(_hit(-n, f"v{video}:{n}") for n, video in enumerate(videos))
    asked: list[int] = []

    def find(count: int) -> list[Hit]:
        asked.append(count)
        return ranked[:count]

    expected = [
        hit for n, hit in enumerate(ranked)
        if sum(other.video_id == hit.video_id for other in ranked[:n]) < per_video
    ][:top]  # fmt: skip
    assert spread_over_videos(find, top=top, per_video=per_video) == expected
    assert spread_over_videos(find, top=top, per_video=0) == ranked[:top]
    assert len(asked) <= 4


def test_one_long_video_does_not_fill_the_list(store: Store) -> None:
    vectors = unit_vectors(300)
    write_embeddings(store, "a", vectors)
    rows, query = open_embeddings(store, EMBED), unit_vectors(1, seed=9)[0]
    order = [row_ids("a", 300)[n] for n in np.argsort(-(vectors @ query))]
    expected = list(dict.fromkeys(row.split(":")[0] for row in order))[:20]
    hits = spread_over_videos(lambda count: nearest(rows, query, top=count), top=20, per_video=1)
    assert [hit.video_id for hit in hits] == expected
    with pytest.raises(InputError, match="per_video is -1"):
        spread_over_videos(lambda count: [], top=1, per_video=-1)


def test_a_model_with_several_poolings_means_the_promoted_one(store: Store) -> None:
    write_embeddings(store, "a", unit_vectors(2))
    for spec in ("pretrain-1.ffff", "pretrain-1.0000", "pretrain-2.ffff", "pretrain-2.0000"):
        store.write(f"embeddings/model={spec}/batch=a/00000.parquet", b"")
    assert resolve_embed_spec(store, MODEL) == resolve_embed_spec(store) == EMBED
    assert resolve_embed_spec(store, "pretrain-1.0000") == "pretrain-1.0000"
    with pytest.raises(InputError, match=r"none of them is promoted: pretrain-2\.0000, pretrain-2\.ffff; name one"):
        resolve_embed_spec(store, "pretrain-2")
