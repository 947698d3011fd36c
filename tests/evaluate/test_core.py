"""Figures of the evaluation, on numbers that can be checked by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videobert.errors import InputError
from videobert.evaluate.config import EvaluateConfig, Gates
from videobert.evaluate.core import (
    Label,
    candidates,
    gates_of,
    parse_labels,
    reranked_figures,
    retrieval_figures,
    span_clips,
    word_figures,
)

ROW = {"video_id": "v", "start_seconds": 0, "end_seconds": 2.5, "verb": "cut", "noun": "onion", "more": [1]}


def test_labels_are_read_and_other_fields_passed_over() -> None:
    data = f"{json.dumps(ROW)}\n\n{json.dumps(ROW | {'verb': 'stir'})}\n".encode()
    assert parse_labels(data, "x") == [
        Label(video_id="v", start_seconds=0, end_seconds=2.5, verb=verb, noun="onion") for verb in ("cut", "stir")
    ]


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"video_id": "v"}', json.dumps(ROW | {"start_seconds": "soon"})])
def test_a_wrong_line_is_named(line: str) -> None:
    with pytest.raises(InputError, match=r"line 2 of labels s3://x"):
        parse_labels(f"{json.dumps(ROW)}\n{line}\n".encode(), "s3://x")


def test_candidates_are_the_most_common_whole_words() -> None:
    words = ["stir", "cut", "stir", "peel", "zest", "cut", "stir"]
    assert candidates(words, limit=3, vocabulary={"stir": 1, "peel": 2}) == (["stir", "peel"], ["cut"])


def test_a_span_takes_the_clips_whose_middle_it_holds() -> None:
    starts, ends = [0.0, 1.5, 4.5], [1.5, 3.0, 6.0]
    for start, end, clips in [(0, 3, (0, 2)), (0.8, 2.2, (1, 1)), (0.7, 2.3, (0, 2)), (3, 9, (2, 3)), (7, 9, (3, 3))]:
        assert span_clips(starts, ends, start_seconds=start, end_seconds=end) == clips


def test_hits_prior_and_gain() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.1, 0.7], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]], np.float32)
    prior, truth = np.array([0.5, 0.3, 0.2], np.float32), np.array([0, 2, 1, 1])
    figures = word_figures(scores, prior, truth)
    assert figures["top1"] == 0.75 and figures["top1_prior"] == 0.25
    assert figures["top1_chance"] == pytest.approx(1 / 3) and figures["top5"] == figures["top5_chance"] == 1.0
    gain = np.array([0, 1, 0, 1])
    assert figures["top1_gain_in_standard_errors"] == pytest.approx(0.5 / (gain.std(ddof=1) / 2))
    assert figures["top5_gain_in_standard_errors"] == 0.0
    assert figures["top1_majority"] == 0.5 and figures["top5_majority"] == 1.0  # always the second word
    over = np.array([1, 1, -1, 0])
    assert figures["top1_gain_over_majority_in_standard_errors"] == pytest.approx(0.25 / (over.std(ddof=1) / 2))


def test_ties_count_by_the_chance_of_a_random_order() -> None:
    scores, truth = np.zeros((7, 10), np.float32), np.arange(7)
    figures = word_figures(scores, np.zeros(10, np.float32), truth)
    assert figures["top1"] == pytest.approx(0.1) and figures["top5"] == pytest.approx(0.5)
    one_above = np.array([[1, 0, 0, 0]], np.float32)
    found = word_figures(one_above, np.zeros(4, np.float32), np.array([2]))
    assert found["top1"] == 0.0 and found["top1_prior"] == 0.25


def test_a_gain_on_every_span_counts() -> None:
    scores, prior = np.eye(2, dtype=np.float32)[[1] * 50], np.array([1, 0], np.float32)
    assert word_figures(scores, prior, np.ones(50, np.int64))["top1_gain_in_standard_errors"] == pytest.approx(50)


@given(seed=st.integers(0, 500), words=st.integers(2, 8), spans=st.integers(1, 20))
def test_chance_is_what_random_scores_reach_on_average(seed: int, words: int, spans: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, (spans, words)).astype(np.float32)
    every = [word_figures(scores, scores[0], np.full(spans, truth)) for truth in range(words)]
    for k in (1, 5):  # over all words as the truth, top-k hits min(k, words) of them, ties or not
        assert sum(f[f"top{k}"] for f in every) == pytest.approx(min(k, words))
        assert every[0][f"top{k}_chance"] == pytest.approx(min(k, words) / words)
    assert all(np.isfinite(list(figures.values())).all() for figures in every)


def test_retrieval_figures() -> None:
    figures = retrieval_figures(np.array([1.0, 1.0, 5.5, 11.0]))
    assert figures == {
        "candidates": 4.0, "median_rank": 3.25, "recall_at_1": 0.5, "recall_at_1_chance": 0.25, "recall_at_5": 0.5,
        "recall_at_5_chance": 1.0, "recall_at_10": 0.75, "recall_at_10_chance": 1.0,
    }  # fmt: skip


def test_reranking_moves_what_was_found_and_finds_nothing_new() -> None:
    best = np.array([[2, 0, 1], [0, 2, 1], [0, 1, 3], [0, 3, 1]])
    logits = np.array([[0, 5, 1], [3, 2, 1], [9, 9, 9], [1, 1, 0]], np.float32)
    # Ranks: 1, 3, not among the three, and a tie for the first two places.
    assert reranked_figures(best, logits) == {"reranked_recall_at_1": 0.25, "reranked_recall_at_5": 0.75}


def test_gates_that_are_on_are_held_against_the_metrics() -> None:
    config = EvaluateConfig(gates=Gates(zero_shot_sigma=3.0, recall_at_10_over_chance=5.0))
    metrics: dict[str, Any] = {
        "zero_shot": {"verb": {"top1_gain_in_standard_errors": 3.0}, "noun": {"top1_gain_in_standard_errors": 2.9}},
        "retrieval": {"recall_at_10": 0.5, "recall_at_10_chance": 0.05},
    }
    assert [gate["holds"] for gate in gates_of(metrics, config)] == [True, False, True]
    assert gates_of(metrics, EvaluateConfig()) == []


def test_what_was_not_measured_holds_no_gate() -> None:
    config = EvaluateConfig(gates=Gates(zero_shot_sigma=3.0, recall_at_10_over_chance=5.0))
    assert [gate["holds"] for gate in gates_of({"retrieval": {}, "zero_shot": {"spans": 0}}, config)] == [False] * 3


@pytest.mark.parametrize("change", [{"prompt": "[MASK]"}, {"verbs": 0}, {"nouns": 0}, {"max_retrieval": 0}])
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        EvaluateConfig(**change)
