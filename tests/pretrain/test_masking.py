import math

import numpy as np
import pytest

from tests.model.material import FIRST_WORD, MASK, vocabulary
from videobert.pretrain.masking import mask_tokens, text_replacements

WORDS = vocabulary(50, 40)
TEXT_POOL = text_replacements(WORDS)
VISUAL_POOL = np.arange(WORDS.first_visual, WORDS.size)
KEEP = WORDS.specials


def masked(ids_N: np.ndarray, pool: np.ndarray, seed: int, probability: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return mask_tokens(ids_N, probability=probability, mask_id=MASK, replacements=pool, keep=KEEP, rng=rng)


@pytest.mark.parametrize("length", [7, 33])
def test_fifteen_percent_are_predicted(length: int) -> None:
    trials = 4_000
    chosen = sum(len(masked(np.full(length, FIRST_WORD), TEXT_POOL, seed)[1]) for seed in range(trials))
    share = chosen / (trials * length)
    # The count of one sequence is a rounding of 0.15 x length, so its spread is below that of independent draws.
    assert abs(share - 0.15) < 3 * math.sqrt(0.15 * 0.85 / (trials * length))


def test_chosen_tokens_are_masked_replaced_or_kept_80_10_10() -> None:
    counts = np.zeros(3)
    for seed in range(3_000):
        ids_N = np.full(40, FIRST_WORD)
        seen_N, chosen_M = masked(ids_N, TEXT_POOL[1:], seed)
        seen_M = seen_N[chosen_M]
        counts += [
            (seen_M == MASK).sum(),
            ((seen_M != MASK) & (seen_M != FIRST_WORD)).sum(),
            (seen_M == FIRST_WORD).sum(),
        ]
    expected = counts.sum() * np.array([0.8, 0.1, 0.1])
    assert ((counts - expected) ** 2 / expected).sum() < 13.8  # chi-square, 2 degrees of freedom, p = 0.001


def test_special_tokens_are_never_chosen() -> None:
    ids_N = np.array([*sorted(KEEP), FIRST_WORD, FIRST_WORD + 1])
    for seed in range(500):
        _, chosen_M = masked(ids_N, TEXT_POOL, seed, 0.9)
        assert set(chosen_M.tolist()) <= {len(KEEP), len(KEEP) + 1}


def test_replacements_are_of_the_same_modality_and_no_special_token() -> None:
    for pool, low, high in ((TEXT_POOL, 0, WORDS.text_size), (VISUAL_POOL, WORDS.first_visual, WORDS.size)):
        ids_N = np.full(60, pool[0])
        seen = set[int]()
        for seed in range(300):
            seen |= set(masked(ids_N, pool, seed, 0.9)[0].tolist())
        seen.discard(MASK)
        assert len(seen) > 30
        assert all(low <= token < high for token in seen)
        assert not seen & KEEP


def test_a_sequence_of_one_token_is_predicted() -> None:
    assert all(len(masked(np.array([FIRST_WORD]), TEXT_POOL, seed)[1]) == 1 for seed in range(50))


def test_nothing_to_choose_from_gives_nothing() -> None:
    seen_N, chosen_M = masked(np.array(sorted(KEEP)), TEXT_POOL, 0)
    assert len(chosen_M) == 0
    assert seen_N.tolist() == sorted(KEEP)


def test_unchosen_tokens_stay_and_the_input_is_not_touched() -> None:
    ids_N = np.arange(FIRST_WORD, FIRST_WORD + 40)
    seen_N, chosen_M = masked(ids_N, TEXT_POOL, 3)
    others = np.setdiff1d(np.arange(40), chosen_M)
    assert (seen_N[others] == ids_N[others]).all()
    assert ids_N.tolist() == list(range(FIRST_WORD, FIRST_WORD + 40))
