import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videobert.errors import InputError
from videobert.evaluate.metrics import median_rank, recall_at_k, retrieval_ranks, top_k, top_k_accuracy


def test_the_best_answer_is_the_first_answer() -> None:
    scores = np.array([[0.1, 0.9, 0.5]])
    assert top_k(scores, k=2).tolist() == [[1, 2]]
    assert top_k_accuracy(scores, [[1]], k=1) == 1.0
    assert top_k_accuracy(scores, [[2]], k=1) == 0.0


def test_any_of_several_labels_counts() -> None:
    scores = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]])
    assert top_k_accuracy(scores, [[0, 2], [1, 0]], k=1) == 0.5
    with pytest.raises(InputError):
        top_k_accuracy(scores, [[0], []], k=1)


@given(
    scores=st.lists(st.integers(0, 2), min_size=2, max_size=5),
    labels=st.sets(st.integers(0, 4), min_size=1),
    k=st.integers(1, 5),
)
def test_ties_count_as_often_as_a_random_order_would_hit(scores: list[int], labels: set[int], k: int) -> None:
    labels = {label for label in labels if label < len(scores)} or {0}
    hits = []
    for order in itertools.permutations(range(len(scores))):
        ranked = sorted((-score, place, i) for i, (score, place) in enumerate(zip(scores, order, strict=True)))
        hits.append(any(i in labels for _, _, i in ranked[:k]))
    exact = top_k_accuracy(np.array([scores], float), [sorted(labels)], k=k)
    assert exact == pytest.approx(np.mean(hits))


def test_equal_candidates_share_the_mean_of_their_ranks() -> None:
    assert retrieval_ranks(np.zeros((5, 5))).tolist() == [3.0] * 5
    similarity = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert retrieval_ranks(similarity).tolist() == [1.5, 1.0, 3.0]


def test_a_constant_model_does_not_retrieve() -> None:
    ranks = retrieval_ranks(np.ones((100, 100)))
    assert recall_at_k(ranks, k=10) == 0.0
    assert median_rank(ranks) == 50.5


def test_recall_and_median() -> None:
    ranks = np.array([1.0, 2.0, 10.0, 11.0])
    assert recall_at_k(ranks, k=10) == 0.75
    assert median_rank(ranks) == 6.0


def test_targets_name_the_column_of_each_query() -> None:
    similarity = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert retrieval_ranks(similarity, [1, 1]).tolist() == [1.0, 1.0]
    with pytest.raises(InputError):
        retrieval_ranks(similarity, [1])
