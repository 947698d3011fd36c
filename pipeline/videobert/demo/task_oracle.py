"""What any model can reach on the kitchen's fine-tuned tasks: answers of an observer who knows the grammar.

Steps: the posterior of the action given the step's own tokens. Videos: chains of actions drawn from their posterior
given all tokens, with the bounds of the steps known, which a model has to find: a ceiling that may be out of reach.

A actions, S steps of a video, K chains, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from videobert.demo.grammar import Kitchen, random_for
from videobert.demo.labels import FAMILIES, family_of
from videobert.demo.oracle import step_posteriors
from videobert.demo.tokens import SampledVideo, TokenChannel

__all__ = ["step_shares", "video_shares"]

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
