"""What any model can reach on the kitchen's fine-tuned tasks: answers of an observer who knows the grammar.

Steps: the posterior of the action given the step's own tokens. Videos: chains of actions drawn from their posterior
given all tokens, with the bounds of the steps known, which a model has to find: a ceiling that may be out of reach.
Their number is counted without the bounds, so that ceiling is exact.

A actions, S steps of a video, K chains, C classes, N tokens of a video, P pairs of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from videobert.demo.grammar import Kitchen, random_for
from videobert.demo.labels import FAMILIES, family_of
from videobert.demo.oracle import step_posteriors
from videobert.demo.tokens import SampledVideo, TokenChannel, emission
from videobert.errors import InputError

__all__ = ["answer_shares", "pair_answers", "step_counts", "step_shares", "video_shares"]

CHAINS = 200
Floats = NDArray[np.float64]


def step_shares(kitchen: Kitchen, channel: TokenChannel, videos: Sequence[SampledVideo], *, task: str) -> Floats:
    """P(class | the step's tokens) for every step, [N, C]; classes in the order of the kitchen's verbs or nouns."""
    posterior_NA = step_posteriors(kitchen, channel, videos)
    if task == "next":
        posterior_NA = posterior_NA @ kitchen.transition_AA
    part, size = (1, kitchen.config.nouns) if task == "noun" else (0, kitchen.config.verbs)
    return np.asarray(posterior_NA @ np.eye(size)[kitchen.actions_A2[:, part]])


def video_shares(kitchen: Kitchen, channel: TokenChannel, videos: Sequence[SampledVideo], *, task: str) -> Floats:
    """P(class | all tokens) of every video, [N, C]: ingredients by noun, or families."""
    posterior_NA = step_posteriors(kitchen, channel, videos)
    evidence_NA = posterior_NA / kitchen.stationary_A
    ends = np.cumsum([len(v.recipe.steps) for v in videos])
    found = []
    for video, end in zip(videos, ends, strict=True):
        evidence_SA = evidence_NA[end - len(video.recipe.steps) : end]
        chains_KS = _chains(kitchen, evidence_SA, random_for(0, video.recipe.key))
        nouns_KS = kitchen.actions_A2[chains_KS, 1]
        if task == "ingredients":
            found.append((nouns_KS[:, :, None] == np.arange(kitchen.config.nouns)).any(axis=1).mean(axis=0))
        else:
            named = [family_of([kitchen.nouns[n] for n in row]) for row in nouns_KS]
            found.append(np.array([named.count(family) / CHAINS for family in FAMILIES]))
    return np.stack(found)


def answer_shares(
    kitchen: Kitchen, channel: TokenChannel, videos: Sequence[SampledVideo], asked: Sequence[Sequence[str]]
) -> list[Floats]:
    """P(noun | all tokens, this verb occurs once) for every verb that is asked of each video, [C] each."""
    posterior_NA = step_posteriors(kitchen, channel, videos)
    evidence_NA = posterior_NA / kitchen.stationary_A
    ends = np.cumsum([len(v.recipe.steps) for v in videos])
    found = []
    for video, end, verbs in zip(videos, ends, asked, strict=True):
        chains_KS = _chains(kitchen, evidence_NA[end - len(video.recipe.steps) : end], random_for(0, video.recipe.key))
        verbs_KS, nouns_KS = kitchen.actions_A2[chains_KS, 0], kitchen.actions_A2[chains_KS, 1]
        for verb in verbs:
            own_KS = verbs_KS == kitchen.verbs.index(verb)
            once_K = own_KS.sum(axis=1) == 1
            chosen_KS = own_KS & once_K[:, None] if once_K.any() else own_KS
            counts_C = np.bincount(nouns_KS[chosen_KS], minlength=len(kitchen.nouns))
            found.append((counts_C + 1e-3) / (counts_C + 1e-3).sum())
    return found


def pair_answers(kitchen: Kitchen, channel: TokenChannel, videos: Sequence[SampledVideo]) -> list[tuple[int, int]]:
    """The likeliest two actions of every two steps that follow each other, given their tokens."""
    evidence_NA = step_posteriors(kitchen, channel, videos) / kitchen.stationary_A
    found, end = [], 0
    for video in videos:
        rows_SA = evidence_NA[end : end + len(video.recipe.steps)]
        end += len(video.recipe.steps)
        for first_A, second_A in pairwise(rows_SA):
            joint_AA = (kitchen.stationary_A * first_A)[:, None] * kitchen.transition_AA * second_A
            first, second = np.unravel_index(int(joint_AA.argmax()), joint_AA.shape)
            found.append((int(first), int(second)))
    return found


def step_counts(kitchen: Kitchen, channel: TokenChannel, videos: Sequence[SampledVideo]) -> Floats:
    """Expected number of steps given all tokens, [videos]: a hidden semi-Markov model over all ways to cut them."""
    config = kitchen.config
    if channel.ordered:
        raise InputError("steps whose tokens come in an order are not counted; use a channel that is not ordered")
    odds_AT = emission(config, channel)[:, 0] * channel.size(config.actions)  # over chance, so that products stay small
    found = []
    for video in videos:
        logs_NA = np.cumsum(np.log(odds_AT[:, video.video.visual].T), axis=0)
        logs_NA = np.vstack([np.zeros(config.actions), logs_NA])
        length = len(video.video.visual)
        # [steps that have ended, where the last of them ended, its action]
        ended_SNA = np.zeros((config.steps_max + 1, length + 1, config.actions))
        for end in range(channel.tokens_min, length + 1):
            for begin in range(max(0, end - channel.tokens_max), end - channel.tokens_min + 1):
                seen_A = np.exp(logs_NA[end] - logs_NA[begin])
                if begin == 0:
                    ended_SNA[1, end] += kitchen.stationary_A * seen_A
                else:
                    ended_SNA[2:, end] += (ended_SNA[1:-1, begin] @ kitchen.transition_AA) * seen_A
        shares_S = ended_SNA[config.steps_min :, length].sum(axis=1)
        durations = (channel.tokens_max - channel.tokens_min + 1.0) ** -np.arange(
            config.steps_min, config.steps_max + 1
        )
        shares_S = shares_S * durations
        found.append(float((np.arange(config.steps_min, config.steps_max + 1) * shares_S).sum() / shares_S.sum()))
    return np.array(found)


def _chains(kitchen: Kitchen, evidence_SA: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """Chains of actions from their posterior, [K, S]: forward filtering, backward sampling."""
    forward = []
    prior_A = kitchen.stationary_A
    for evidence_A in evidence_SA:
        weight_A = prior_A * evidence_A
        forward.append(weight_A / weight_A.sum())
        prior_A = forward[-1] @ kitchen.transition_AA
    chains_KS = np.empty((CHAINS, len(evidence_SA)), dtype=np.int64)
    chains_KS[:, -1] = rng.choice(len(prior_A), size=CHAINS, p=forward[-1])
    for step in range(len(evidence_SA) - 2, -1, -1):
        weight_KA = forward[step] * kitchen.transition_AA[:, chains_KS[:, step + 1]].T
        cumulated_KA = np.cumsum(weight_KA, axis=1)
        draws_K1 = rng.random((CHAINS, 1)) * cumulated_KA[:, -1:]
        chains_KS[:, step] = (cumulated_KA < draws_K1).sum(axis=1).clip(max=len(prior_A) - 1)
    return chains_KS
