"""What any model can reach on the kitchen at most, and what it reaches without looking: exact posteriors, sampled data.

A actions, P phases of a step, T token values, V words (verbs or nouns), N samples. Natural logarithms throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videobert.demo.grammar import Kitchen, KitchenConfig, build_kitchen
from videobert.demo.tokens import SampledVideo, TokenChannel, emission, phase_of_tokens, sample_pairs
from videobert.errors import InputError
from videobert.evaluate.metrics import top_k_accuracy

__all__ = [
    "Figures",
    "bayes_ceiling",
    "counting_model",
    "language_prior",
    "rank_auc",
    "sighted_information",
    "step_posteriors",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One column of the kitchen's table; a figure that a predictor does not define is NaN."""

    verb_top1: float
    """Share of steps whose verb *on the screen* ranks first, given the step's tokens alone."""
    verb_top5: float
    noun_top1: float
    noun_top5: float
    next_top1: float = float("nan")
    """Share of steps whose following action ranks first, given the step's tokens alone."""
    next_top5: float = float("nan")
    alignment_auc: float = float("nan")
    """Area under the curve of one sentence with its step's tokens, against sentences of other videos."""
    retrieval_top1: float = float("nan")
    """All sentences of a video find its tokens among 100 videos."""
    retrieval_top5: float = float("nan")
    verb_information: float = float("nan")
    """Nats that the tokens tell about the verb *in the sentence*, among sentences that name an action."""
    noun_information: float = float("nan")


def language_prior(config: KitchenConfig) -> Figures:
    """Exact scores of always answering the most frequent words and actions."""
    kitchen = build_kitchen(config)
    verb, noun = (_words(kitchen, kitchen.stationary_A[None], part)[0] for part in (0, 1))
    best = [np.sort(p)[::-1] for p in (verb, noun, kitchen.stationary_A)]
    top1, top5 = [float(p[0]) for p in best], [float(p[:5].sum()) for p in best]
    return Figures(
        verb_top1=top1[0],
        verb_top5=top5[0],
        noun_top1=top1[1],
        noun_top5=top5[1],
        next_top1=top1[2],
        next_top5=top5[2],
    )


def bayes_ceiling(config: KitchenConfig, *, channel: TokenChannel | None = None, pairs: int = 20_000) -> Figures:
    """The best possible figures, estimated on `pairs` fresh steps; standard errors are below 0.5 / sqrt(pairs).

    Retrieval scores sentences one by one given the tokens of three steps: a bound that is close, not exact.
    """
    channel = channel or TokenChannel()
    kitchen = build_kitchen(config)
    videos = list(sample_pairs(config, pairs, split="oracle", channel=channel))
    posterior_NA = step_posteriors(kitchen, channel, videos)
    actions_N, narrated_N = _column(videos, "action"), _column(videos, "narrated_action")
    scores = [_words(kitchen, posterior_NA, part) for part in (0, 1)]
    truth = [kitchen.actions_A2[actions_N, part] for part in (0, 1)]
    follows = np.concatenate([np.arange(len(v.recipe.steps)) < len(v.recipe.steps) - 1 for v in videos])
    next_NA = posterior_NA[follows] @ kitchen.transition_AA
    next_N = actions_N[1:][follows[:-1]]
    told_NA = posterior_NA @ _told(kitchen)
    retrieval = _retrieval(kitchen, posterior_NA, videos)
    return Figures(
        verb_top1=top_k_accuracy(scores[0], truth[0][:, None], k=1),
        verb_top5=top_k_accuracy(scores[0], truth[0][:, None], k=5),
        noun_top1=top_k_accuracy(scores[1], truth[1][:, None], k=1),
        noun_top5=top_k_accuracy(scores[1], truth[1][:, None], k=5),
        next_top1=top_k_accuracy(next_NA, next_N[:, None], k=1),
        next_top5=top_k_accuracy(next_NA, next_N[:, None], k=5),
        alignment_auc=_alignment_auc(kitchen, told_NA, narrated_N),
        retrieval_top1=float((retrieval < 1).mean()),
        retrieval_top5=float((retrieval < 5).mean()),
        verb_information=_information(kitchen, told_NA, narrated_N, 0),
        noun_information=_information(kitchen, told_NA, narrated_N, 1),
    )


def counting_model(
    config: KitchenConfig, *, train_pairs: int, test_pairs: int = 20_000, channel: TokenChannel | None = None
) -> Figures:
    """Naive Bayes from counts of (word in the sentence, token of the step): what a model without context learns."""
    channel = channel or TokenChannel()
    kitchen = build_kitchen(config)
    train = list(sample_pairs(config, train_pairs, split="train", channel=channel))
    test = list(sample_pairs(config, test_pairs, split="oracle", channel=channel))
    train_NT, test_NT = (_histograms(videos, channel, config.actions) for videos in (train, test))
    narrated_N, actions_N = _column(train, "narrated_action"), _column(test, "action")
    named = narrated_N >= 0
    hits: list[float] = []
    for part, size in ((0, config.verbs), (1, config.nouns)):
        words_N = kitchen.actions_A2[narrated_N[named], part]
        counts_VT = np.ones((size, train_NT.shape[1]))
        np.add.at(counts_VT, words_N, train_NT[named])
        prior_V = np.bincount(words_N, minlength=size) + 1.0
        scores_NV = test_NT @ np.log(counts_VT / counts_VT.sum(1, keepdims=True)).T + np.log(prior_V)
        truth_N = kitchen.actions_A2[actions_N, part]
        hits += [top_k_accuracy(scores_NV, truth_N[:, None], k=1), top_k_accuracy(scores_NV, truth_N[:, None], k=5)]
    return Figures(verb_top1=hits[0], verb_top5=hits[1], noun_top1=hits[2], noun_top5=hits[3])


def sighted_information(config: KitchenConfig, videos: Sequence[SampledVideo]) -> dict[str, float]:
    """Nats that an observer who knows every action saves at the verb and at the noun of these very sentences."""
    kitchen = build_kitchen(config)
    actions_N, narrated_N = _column(videos, "action"), _column(videos, "narrated_action")
    told_NA = _told(kitchen)[actions_N]
    return {kind: _information(kitchen, told_NA, narrated_N, part) for part, kind in enumerate(("verb", "noun"))}


def rank_auc(positive_N: Floats, negative_N: Floats) -> float:
    """P(positive > negative) + half of P(equal)."""
    ordered = np.sort(negative_N)
    below = np.searchsorted(ordered, positive_N, side="left")
    upto = np.searchsorted(ordered, positive_N, side="right")
    return float((below + upto).mean() / 2 / len(ordered))


def _told(kitchen: Kitchen) -> Floats:
    """P(action named | action on the screen, the sentence names one), shape [A, A].

    Averaged over positions: what edges lack forwards on one side they lack backwards on the other.
    """
    config = kitchen.config
    if config.steps_min == 1:
        raise InputError("steps_min=1 makes videos without neighbours to talk about; the oracle needs steps_min >= 2")
    forward_AA = kitchen.transition_AA
    backward_AA = (kitchen.stationary_A[:, None] * forward_AA).T / kitchen.stationary_A[:, None]
    around_AA = (forward_AA + backward_AA) / 2
    own, other = config.narration_current, config.narration_neighbour
    if own + other == 0:
        raise InputError("narration_current = narration_neighbour = 0 leaves nothing to learn; raise one of them")
    return np.asarray((own * np.eye(config.actions) + other * around_AA) / (own + other))


def step_posteriors(kitchen: Kitchen, channel: TokenChannel, videos: Sequence[SampledVideo]) -> Floats:
    """P(action | the step's own tokens), shape [N, A]."""
    actions = kitchen.config.actions
    emission_AT = emission(kitchen.config, channel).reshape(actions, -1)
    log_NA = _histograms(videos, channel, actions) @ _log(emission_AT).T + _log(kitchen.stationary_A)
    log_NA -= log_NA.max(1, keepdims=True)
    likely_NA = np.exp(log_NA)
    return np.asarray(likely_NA / likely_NA.sum(1, keepdims=True))


def _log(probability: Floats) -> Floats:
    """Impossible is very unlikely: 0 x log 0 must be 0."""
    return np.asarray(np.log(np.maximum(probability, 1e-300)))


def _histograms(videos: Sequence[SampledVideo], channel: TokenChannel, actions: int) -> Floats:
    """How often each token value occurs in each phase of each step, shape [N, P * T]."""
    values = channel.size(actions)
    counts = []
    for video in videos:
        for s in video.video.segments:
            tokens = video.video.visual[s.first_clip : s.last_clip]
            bins = phase_of_tokens(len(tokens), channel.phases) * values + tokens
            counts.append(np.bincount(bins, minlength=channel.phases * values))
    return np.asarray(counts, np.float64)


def _column(videos: Sequence[SampledVideo], field: str) -> Ints:
    return np.asarray([getattr(step, field) for v in videos for step in v.recipe.steps], np.int64)


def _words(kitchen: Kitchen, actions_NA: Floats, part: int) -> Floats:
    """Distribution over verbs (part 0) or nouns (part 1) from one over actions, shape [N, V]."""
    size = (kitchen.config.verbs, kitchen.config.nouns)[part]
    member_AV = np.eye(size)[kitchen.actions_A2[:, part]]
    return np.asarray(actions_NA @ member_AV)


def _information(kitchen: Kitchen, told_NA: Floats, narrated_N: Ints, part: int) -> float:
    """I(word in the sentence; tokens) = mean log P(word | tokens) / P(word)."""
    named = narrated_N >= 0
    words_N = kitchen.actions_A2[narrated_N[named], part]
    given = _words(kitchen, told_NA[named], part)[np.arange(len(words_N)), words_N]
    prior = _words(kitchen, kitchen.stationary_A[None], part)[0][words_N]
    return float(np.log(given / prior).mean())


def _alignment_auc(kitchen: Kitchen, told_NA: Floats, narrated_N: Ints) -> float:
    """Likelihood ratio of (tokens, sentence) against (tokens, sentence of a step half the corpus away)."""
    ratio_NA = _log(told_NA) - _log(kitchen.stationary_A)
    rows = np.arange(len(narrated_N))

    def score(told_N: Ints) -> Floats:
        return np.where(told_N >= 0, ratio_NA[rows, told_N], 0.0)

    return rank_auc(score(narrated_N), score(np.roll(narrated_N, len(narrated_N) // 2)))


def _retrieval(kitchen: Kitchen, posterior_NA: Floats, videos: Sequence[SampledVideo], among: int = 100) -> Floats:
    """Rank of the right video among `among` of equally many steps, over all full groups of such videos."""
    config = kitchen.config
    own, other = config.narration_current, config.narration_neighbour
    starts = np.cumsum([0, *(len(v.recipe.steps) for v in videos)])
    ranks: list[Floats] = []
    for length in range(config.steps_min, config.steps_max + 1):
        chosen = [i for i, v in enumerate(videos) if len(v.recipe.steps) == length]
        for first in range(0, len(chosen) - among + 1, among):
            group = chosen[first : first + among]
            posterior_GSA = np.stack([posterior_NA[starts[i] : starts[i + 1]] for i in group])
            narrated_GS = np.asarray([[s.narrated_action for s in videos[i].recipe.steps] for i in group])
            told_GSA = own * posterior_GSA + other * _neighbours(posterior_GSA)
            score_GG = np.zeros((among, among))
            for step in range(length):
                told_GA = np.log(told_GSA[:, step] + 1e-4 * kitchen.stationary_A)
                names = narrated_GS[:, step]
                score_GG += np.where(names[:, None] >= 0, told_GA[:, np.maximum(names, 0)].T, 0.0)
            right = np.diag(score_GG)[:, None]
            ranks.append((score_GG > right).sum(1) + ((score_GG == right).sum(1) - 1) / 2)
    if not ranks:
        raise InputError(f"{len(videos)} videos hold no group of {among} of equal length; sample more pairs")
    return np.concatenate(ranks)


def _neighbours(posterior_GSA: Floats) -> Floats:
    """Mean of the distributions one step before and after; at an edge the only one there is."""
    around = np.zeros_like(posterior_GSA)
    around[:, 1:] += posterior_GSA[:, :-1]
    around[:, :-1] += posterior_GSA[:, 1:]
    around[:, 1:-1] /= 2
    return around
