"""Which clips stand for a video: a submodular function, and its best subset within a budget of seconds.

Coverage (every clip has something like it among the chosen), diversity (different visual tokens are shown; Lin and
Bilmes, 2011) and relevance are each monotone submodular and 1 for the whole video; the function is their mean.

N clips, M clips of the ground set that are to be covered, S subsets, T visual tokens.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EXACT", "Material", "best_subset", "value_of"]

EXACT = 15
"""Up to so many clips every subset is tried: 32,768 of them."""
_GROUND = 2_000
"""Clips that are to be covered at most, evenly spaced: 50 minutes of 1.5 s."""
_EFFORT = 3e9
"""Comparisons that exchanging may cost: some ten seconds of one core."""
_LEAST_GAIN = 1e-9
_SLACK = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is known of a video's clips."""

    vectors_ND: NDArray[np.float32]
    tokens_N: NDArray[np.int64]
    seconds_N: NDArray[np.float64]
    """What each costs."""
    relevance_N: NDArray[np.float64] | None = None
    """0 to 1, for a text; None: nothing was asked."""
    diversity: float = 0.3
    """Weight of diversity."""
    relevance: float = 0.5
    """Weight of relevance where something was asked."""

    def __len__(self) -> int:
        return len(self.seconds_N)


class _Objective:
    """The three parts, for subsets that grow by one clip at a time."""

    def __init__(self, given: Material) -> None:
        ground_M = np.unique(np.linspace(0, len(given) - 1, min(len(given), _GROUND)).round().astype(np.int64))
        self.alike_NM = _alike(given.vectors_ND, ground_M)
        asked = given.relevance_N is not None and float(given.relevance_N.sum()) > 0
        relevance = given.relevance if asked else 0.0
        diversity = given.diversity * (1 - relevance)
        weight_M = given.seconds_N[ground_M]
        self.weight_M = ((1 - relevance - diversity) * weight_M / weight_M.sum()).astype(np.float32)
        _, self.token_N = np.unique(given.tokens_N, return_inverse=True)
        self.seconds_N = given.seconds_N
        root_T = np.sqrt(np.bincount(self.token_N, weights=given.seconds_N))
        self.diversity = diversity / root_T.sum()
        self.tokens = len(root_T)
        self.relevant_N = np.zeros(len(given))
        if given.relevance_N is not None and asked:
            self.relevant_N = relevance * given.relevance_N * given.seconds_N
            self.relevant_N /= (given.relevance_N * given.seconds_N).sum()

    def gain(self, clip: int, covered_M: NDArray[np.float32], shown_T: NDArray[np.float64]) -> float:
        """By how much one more clip improves a subset."""
        more = float(self.weight_M @ np.maximum(self.alike_NM[clip] - covered_M, 0))
        token, seconds = self.token_N[clip], self.seconds_N[clip]
        other = float(np.sqrt(shown_T[token] + seconds) - np.sqrt(shown_T[token]))
        return float(more + self.diversity * other + self.relevant_N[clip])

    def gains(self, covered_M: NDArray[np.float32], shown_T: NDArray[np.float64]) -> NDArray[np.float64]:
        """`gain` of every clip, [N]."""
        more_N = np.maximum(self.alike_NM - covered_M, 0) @ self.weight_M
        shown_N = shown_T[self.token_N]
        other_N = np.sqrt(shown_N + self.seconds_N) - np.sqrt(shown_N)
        return np.asarray(more_N + self.diversity * other_N + self.relevant_N)


def value_of(given: Material, chosen: NDArray[np.int64]) -> float:
    """The function of one subset: 0 for none, 1 for all clips."""
    objective = _Objective(given)
    covered_M = np.zeros(len(objective.weight_M), np.float32)
    shown_T = np.zeros(objective.tokens)
    total = 0.0
    for clip in chosen.tolist():
        total += objective.gain(clip, covered_M, shown_T)
        np.maximum(covered_M, objective.alike_NM[clip], out=covered_M)
        shown_T[objective.token_N[clip]] += objective.seconds_N[clip]
    return total


def best_subset(given: Material, budget_seconds: float) -> NDArray[np.int64]:
    """Clips within the budget, ascending; the optimum for up to 15 clips, else at least .39 of it, mostly far more.

    Longer videos: the better of the greedy choice by gain and by gain per second (Leskovec et al., 2007), evaluated
    lazily (Minoux, 1978), then clips exchanged for better ones while that helps: what is chosen first has to stand for
    scenes that others show in the end. Of equals the earlier clip. Empty where no clip fits.
    """
    objective = _Objective(given)
    if len(given) <= EXACT:
        return _exact(objective, budget_seconds)
    found = [_greedy(objective, budget_seconds, per_second=per_second) for per_second in (False, True)]
    return _exchanged(objective, max(found, key=lambda pair: pair[0])[1], budget_seconds)


def _greedy(objective: _Objective, budget: float, *, per_second: bool) -> tuple[float, NDArray[np.int64]]:
    covered_M = np.zeros(len(objective.weight_M), np.float32)
    shown_T = np.zeros(objective.tokens)
    seconds_N = objective.seconds_N

    def key(clip: int) -> float:
        gain = objective.gain(clip, covered_M, shown_T)
        return -gain / seconds_N[clip] if per_second else -gain

    first_N = -objective.gains(covered_M, shown_T) / (seconds_N if per_second else 1)
    heap = list(zip(first_N.tolist(), range(len(seconds_N)), strict=True))
    heapq.heapify(heap)
    total, left, chosen = 0.0, budget + _SLACK, []
    while heap:
        former, clip = heapq.heappop(heap)
        if seconds_N[clip] > left:
            continue
        now = key(clip)
        if heap and now > former + _LEAST_GAIN and (now, clip) > heap[0]:
            heapq.heappush(heap, (now, clip))
            continue
        total += objective.gain(clip, covered_M, shown_T)
        np.maximum(covered_M, objective.alike_NM[clip], out=covered_M)
        shown_T[objective.token_N[clip]] += seconds_N[clip]
        left -= seconds_N[clip]
        chosen.append(clip)
    return total, np.array(sorted(chosen), np.int64)


def _exchanged(objective: _Objective, chosen: NDArray[np.int64], budget: float) -> NDArray[np.int64]:
    """Each clip in turn becomes the best that fits in its place, until none changes or the effort is spent."""
    seconds_N, kept = objective.seconds_N, chosen.tolist()
    rounds = int(_EFFORT // (objective.alike_NM.size * max(len(kept), 1)))
    for _ in range(rounds):
        changed = False
        for place, clip in enumerate(kept):
            rest = kept[:place] + kept[place + 1 :]
            covered_M = objective.alike_NM[rest].max(axis=0, initial=0)
            shown_T = np.zeros(objective.tokens)
            np.add.at(shown_T, objective.token_N[rest], seconds_N[rest])
            gain_N = objective.gains(covered_M, shown_T)
            gain_N[rest] = -np.inf
            gain_N[seconds_N > budget + _SLACK - seconds_N[rest].sum()] = -np.inf
            best = int(np.argmax(gain_N))
            if gain_N[best] > gain_N[clip] + _LEAST_GAIN:
                kept[place], changed = best, True
        if not changed:
            break
    return np.array(sorted(kept), np.int64)


def _exact(objective: _Objective, budget: float) -> NDArray[np.int64]:
    """Every subset at once, doubling with each clip."""
    ground = len(objective.weight_M)
    covered_SM = np.zeros((1, ground), np.float32)
    shown_ST = np.zeros((1, objective.tokens))
    rest_S, seconds_S = np.zeros(1), np.zeros(1)
    for clip, seconds in enumerate(objective.seconds_N):
        more_ST = shown_ST.copy()
        more_ST[:, objective.token_N[clip]] += seconds
        covered_SM = np.concatenate([covered_SM, np.maximum(covered_SM, objective.alike_NM[clip])])
        shown_ST = np.concatenate([shown_ST, more_ST])
        rest_S = np.concatenate([rest_S, rest_S + objective.relevant_N[clip]])
        seconds_S = np.concatenate([seconds_S, seconds_S + seconds])
    value_S = covered_SM @ objective.weight_M + objective.diversity * np.sqrt(shown_ST).sum(1) + rest_S
    value_S = np.where(seconds_S <= budget + _SLACK, value_S, -np.inf)
    best = int(np.argmax(np.round(value_S, 9)))
    return np.flatnonzero([best >> clip & 1 for clip in range(len(objective.seconds_N))])


def _alike(vectors_ND: NDArray[np.float32], ground_M: NDArray[np.int64]) -> NDArray[np.float32]:
    """Cosines around the mean of the video, 0 where negative, float32 [N, M]; 1 where nothing ever changes."""
    centred_ND = vectors_ND - vectors_ND.mean(axis=0)
    length_N1 = np.linalg.norm(centred_ND, axis=1, keepdims=True)
    still = float(np.linalg.norm(vectors_ND, axis=1).max(initial=0)) * 1e-5
    unit_ND = np.where(length_N1 > still, centred_ND / np.maximum(length_N1, 1e-12), 0).astype(np.float32)
    alike_NM = np.maximum(unit_ND @ unit_ND[ground_M].T, 0)
    alike_NM[(length_N1 <= still) & (still >= length_N1[ground_M].T)] = 1
    alike_NM[ground_M, np.arange(len(ground_M))] = 1
    return np.asarray(alike_NM, np.float32)
