"""Beam search over any model that says how likely each next word is. K beams, V words, L length so far."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["beam_search"]

Next = Callable[[Tensor], Tensor]
"""Log probabilities of the next word [K, V] after the words of each beam [K, L]."""


def beam_search(
    following: Next, *, start: int, end: int, longest: int, beams: int = 1, length_penalty: float = 1.0
) -> tuple[int, ...]:
    """The best sentence without `start` and `end`, of at most `longest` words; one beam is greedy search.

    A sentence of n words, its end included, is worth its log probability over n ** `length_penalty`: 0 favours short
    ones, more than 1 long ones (Wu et al. 2016, arXiv 1609.08144, without the constants).
    """
    words_KL = torch.tensor([[start]])
    scores_K = torch.zeros(1)
    done: list[tuple[float, tuple[int, ...]]] = []
    for length in range(1, longest + 1):
        total_KV = scores_K[:, None] + following(words_KL).double().cpu()
        # Twice as many as beams: some of the best may end here.
        best = total_KV.flatten().topk(min(2 * beams, total_KV.numel()))
        rows, columns = best.indices // total_KV.shape[1], best.indices % total_KV.shape[1]
        kept: list[tuple[float, Tensor]] = []
        for score, row, column in zip(best.values.tolist(), rows.tolist(), columns.tolist(), strict=True):
            if column == end:
                if len(kept) < beams:  # one that is worse than all open beams cannot be the best of its length
                    done.append((score / length**length_penalty, tuple(words_KL[row, 1:].tolist())))
            elif len(kept) < beams:
                kept.append((score, torch.cat([words_KL[row], torch.tensor([column])])))
        if not kept:
            break
        words_KL = torch.stack([words for _, words in kept])
        scores_K = torch.tensor([score for score, _ in kept], dtype=torch.float64)
        if beams == 1 and done:
            return done[0][1]
        if len(done) >= beams and max(done)[0] >= max(s / longest**length_penalty for s, _ in kept):
            break
    open_beams = [
        (score / longest**length_penalty, tuple(words[1:].tolist()))
        for score, words in zip(scores_K.tolist(), words_KL, strict=True)
    ]
    return max(done or open_beams)[1]
