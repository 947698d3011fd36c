"""Search by words is BM25 over what the filters keep, and with vectors it finds more than either does alone."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest

import videobert
from tests.query.rows import row_ids, unit_vectors, write_embeddings
from videobert.api import Root
from videobert.query.embeddings import open_embeddings, resolve_embed_spec
from videobert.query.filters import RowFilter
from videobert.query.fusion import fused
from videobert.query.search import Hit
from videobert.query.words import nearest_by_words
from videobert.runtime.storage import Store


def reference(texts: list[str], query: str) -> list[float]:
    """The formula, one text at a time."""
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    mean = sum(map(len, words)) / len(words)
    scores = []
    for own in words:
        score = 0.0
        for word in set(re.findall(r"\w+", query.lower())):
            holding = sum(word in other for other in words)
            times = own.count(word)
            idf = math.log(1 + (len(words) - holding + 0.5) / (holding + 0.5))
            score += idf * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * len(own) / mean))
        scores.append(score)
    return scores


def test_scores_are_those_of_the_formula(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("aAäßb1_ .,\n"), rng.integers(12))) for _ in range(80)]
    store = Store(str(tmp_path))
    for number, batch in enumerate("ab"):
        write_embeddings(store, batch, unit_vectors(40), texts=texts[40 * number : 40 * number + 40])
    rows = open_embeddings(store, resolve_embed_spec(store))
    for query in ("a", "b Ä", "aß, b b", "1 _ nothing"):
        found = {hit.row_id: hit.score for hit in nearest_by_words(rows, query, top=100)}
        ids = [*row_ids("a", 40), *row_ids("b", 40)]
        expected = {row: score for row, score in zip(ids, reference(texts, query), strict=True) if score}
        assert expected and found.keys() == expected.keys()
        np.testing.assert_allclose([found[row] for row in ids if row in found], [*expected.values()], rtol=1e-5)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    texts = ["stir the egg", "Stir, stir! The EGG.", "chop the onion", "nothing is said of it", "egg", "the the the"]
    write_embeddings(Store(str(tmp_path)), "a", unit_vectors(6), texts=texts)
    return videobert.open(str(tmp_path))


def test_words_need_no_model_and_no_case_and_take_filters(root: Root) -> None:
    found = [hit.text for hit in root.search("stir egg", by="words")]
    assert found == ["Stir, stir! The EGG.", "stir the egg", "egg"]
    assert [hit.text for hit in root.search("egg", by="words", from_seconds=4)] == ["egg"]
    assert len(root.search("stir egg", by="words", per_video=1)) == 2
    rows = root.embeddings()
    kept = RowFilter(without=[row_ids("a", 6)[0]])
    assert [hit.text for hit in nearest_by_words(rows, "stir", top=5, where=kept)] == ["Stir, stir! The EGG."]
    assert [hit.text for hit in nearest_by_words(rows, "स्टिर", top=5)] == []
    assert root.search("saffron", by="words") == []


def test_what_holds_no_word_is_refused(root: Root) -> None:
    with pytest.raises(videobert.InputError, match="holds no words"):
        root.search("?!", by="words")
    with pytest.raises(videobert.InputError, match="by is 'both'"):
        root.search(row=row_ids("a", 6)[0], by="both")


def _hit(row_id: str, score: float) -> Hit:
    return Hit(score=score, row_id=row_id, title="", start_seconds=0, end_seconds=1, text="", source_uri="", batch="a")


def test_fusion_prefers_what_both_lists_have_and_equals_share_a_rank() -> None:
    near = [_hit("a", 0.9), _hit("b", 0.8), _hit("c", 0.8), _hit("d", 0.1)]
    said = [_hit("d", 5.0), _hit("c", 4.0)]
    found = fused([near, said], top=3, depth=200)
    assert [hit.row_id for hit in found] == ["c", "d", "a"]
    assert found[0].score == pytest.approx(1 / 62 + 1 / 62) and found[1].score == pytest.approx(1 / 64 + 1 / 61)
    assert fused([near, near], top=9, depth=200)[1].score == fused([near, near], top=9, depth=200)[2].score


def test_the_first_hits_of_a_fusion_are_the_same_however_many_are_asked_for() -> None:
    """What is deep in one list and early in the other must not move up once the first list is read further."""
    near = [_hit(f"n{place:03}", 1 - place / 1000) for place in range(40)]
    said = [_hit(f"n{place:03}", 99.0 - place) for place in reversed(range(25, 40))]
    whole = fused([near, said], top=100, depth=10)
    assert sorted(hit.row_id for hit in whole) == [hit.row_id for hit in near]
    assert all(a.score >= b.score for a, b in itertools.pairwise(whole))
    for top in (5, 12, 20, 33):
        asked = max(10, top)
        assert fused([near[:asked], said[:asked]], top=top, depth=10) == whole[:top]
