"""Answers without the prompt's habits."""

import numpy as np
import pytest

from videobert.evaluate.core import calibrated


def test_a_video_that_tells_nothing_leaves_the_habits_of_the_narration() -> None:
    prompt_C = np.log([0.9, 0.1]).astype(np.float32)
    scores, prior = calibrated(np.stack([prompt_C] * 3), prompt_C, np.array([29, 69]))
    assert np.exp(prior) == pytest.approx([0.3, 0.7])
    assert scores == pytest.approx(np.stack([prior] * 3))


def test_what_a_video_adds_to_the_prompt_is_added_to_the_habits() -> None:
    prompt_C, seen_BC = np.log([[0.9, 0.1]]), np.log([[0.45, 0.4]])
    scores, prior = calibrated(seen_BC.astype(np.float32), prompt_C[0].astype(np.float32), np.array([49, 49]))
    assert np.exp(scores[0] - prior) == pytest.approx([0.5, 4.0], rel=1e-5)


def test_a_word_that_is_never_said_keeps_a_chance() -> None:
    _, prior = calibrated(np.zeros((1, 2), np.float32), np.zeros(2, np.float32), np.array([0, 9]))
    assert np.isfinite(prior).all()
