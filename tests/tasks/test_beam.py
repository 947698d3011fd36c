"""Beam search over words whose chances are written down."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from videobert.tasks.beam import beam_search

START, END = 0, 1


def chances(words: tuple[int, ...]) -> Tensor:
    """Of five words after some others: fixed, and different after each."""
    generator = torch.Generator().manual_seed(hash(words) % 1_000_003)
    return torch.randn(5, generator=generator, dtype=torch.float64).log_softmax(0)


def following(words_KL: Tensor) -> Tensor:
    return torch.stack([chances(tuple(row)) for row in words_KL.tolist()])


def greedy() -> tuple[int, ...]:
    words: tuple[int, ...] = (START,)
    for _ in range(4):
        best = int(chances(words).argmax())
        if best == END:
            break
        words = (*words, best)
    return words[1:]


def worth(words: tuple[int, ...], penalty: float) -> float:
    """Of a sentence that ends."""
    total = 0.0
    said: tuple[int, ...] = (START,)
    for word in (*words, END):
        total += float(chances(said)[word])
        said = (*said, word)
    return total / math.pow(len(words) + 1, penalty)


def test_one_beam_is_greedy() -> None:
    assert beam_search(following, start=START, end=END, longest=4, beams=1) == greedy()


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
def test_as_many_beams_as_sentences_find_the_best(penalty: float) -> None:
    everything = [s for n in range(4) for s in itertools.product((0, 2, 3, 4), repeat=n)]
    best = max(everything, key=lambda words: worth(words, penalty))
    assert beam_search(following, start=START, end=END, longest=4, beams=400, length_penalty=penalty) == best


def test_a_length_penalty_of_0_favours_short_sentences() -> None:
    """Word 2 follows word 2 with .6, the end with .4: alone the empty sentence is likeliest, per word a long one."""
    row = torch.tensor([[-math.inf, math.log(0.4), math.log(0.6), -math.inf, -math.inf]])

    def same(words_KL: Tensor) -> Tensor:
        return row.expand(len(words_KL), -1)

    short = beam_search(same, start=START, end=END, longest=5, beams=5, length_penalty=0.0)
    long = beam_search(same, start=START, end=END, longest=5, beams=5, length_penalty=1.0)
    assert short == () and len(long) == 4


def test_a_sentence_that_never_ends_is_cut() -> None:
    row = torch.tensor([[-math.inf, -math.inf, 0.0, -math.inf, -math.inf]])
    found = beam_search(lambda words: row.expand(len(words), -1), start=START, end=END, longest=3, beams=2)
    assert found == (2, 2, 2)
