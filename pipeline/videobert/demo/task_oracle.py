"""What any model can reach on the kitchen's fine-tuned tasks: answers of an observer who knows the grammar.

Steps: the posterior of the action given the step's own tokens. Videos: a hidden semi-Markov model over all ways to cut
the tokens into steps, or, where the observer is told, over the right one; exact for the number of steps, and for all
else by chains of actions that are drawn from their posterior. Who reads segment by segment is told.

A actions, S steps of a video, K chains, C classes, N tokens of a video, P pairs of steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
_IMPOSSIBLE = 1e-30
"""Instead of 0, whose logarithms have no difference."""
Floats = NDArray[np.float64]


def step_shares(kitchen: Kitchen, channel: TokenChannel, videos: Sequence[SampledVideo], *, task: str) -> Floats:
    """P(class | the step's tokens) for every step, [N, C]; classes in the order of the kitchen's verbs or nouns."""
    posterior_NA = step_posteriors(kitchen, channel, videos)
    if task == "next":
        posterior_NA = posterior_NA @ kitchen.transition_AA
    part, size = (1, kitchen.config.nouns) if task == "noun" else (0, kitchen.config.verbs)
    return np.asarray(posterior_NA @ np.eye(size)[kitchen.actions_A2[:, part]])


def video_shares(
    kitchen: Kitchen, channel: TokenChannel, videos: Sequence[SampledVideo], *, task: str, told: bool
) -> Floats:
    """P(class | all tokens) of every video, [videos, C]: ingredients by noun, or families."""
    found = []
    for chains in _posterior_chains(kitchen, channel, videos, told=told):
        named = [[kitchen.nouns[kitchen.actions_A2[action, 1]] for action in chain] for chain in chains]
        if task == "ingredients":
            found.append(np.mean([[noun in nouns for noun in kitchen.nouns] for nouns in named], axis=0))
        else:
            families = [family_of(nouns) for nouns in named]
            found.append(np.array([families.count(family) / CHAINS for family in FAMILIES]))
    return np.stack(found)


def answer_shares(
    kitchen: Kitchen,
    channel: TokenChannel,
    videos: Sequence[SampledVideo],
    asked: Sequence[Sequence[str]],
    *,
    told: bool,
) -> list[Floats]:
    """P(noun | all tokens, this verb occurs once) for every verb that is asked of each video, [C] each."""
    found = []
    for chains, verbs in zip(_posterior_chains(kitchen, channel, videos, told=told), asked, strict=True):
        shown = [kitchen.actions_A2[list(chain)] for chain in chains]
        for verb in verbs:
            nouns = [steps_S2[steps_S2[:, 0] == kitchen.verbs.index(verb), 1] for steps_S2 in shown]
            once = [own for own in nouns if len(own) == 1] or nouns
            counts_C = np.bincount(np.concatenate(once), minlength=len(kitchen.nouns))
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


def step_counts(kitchen: Kitchen, channel: TokenChannel, videos: Sequence[SampledVideo], *, told: bool) -> Floats:
    """Expected number of steps given all tokens, [videos]."""
    found = []
    for video in videos:
        shares_S = _cut(kitchen, channel, video, told=told).ended_SNA[:, -1].sum(axis=1)
        found.append(float(np.arange(len(shares_S)) @ shares_S / shares_S.sum()))
    return np.array(found)


@dataclass(frozen=True, slots=True)
class _Cuts:
    """All ways to cut a video into steps."""

    ended_SNA: Floats
    """Weight of the first tokens as so many steps of which the last, of this action, has ended; a video that ends has a
    number of steps that there can be."""
    seen_NNA: Floats
    """Likelihood of the tokens from one place to another as one step, 0 where none is so long; over chance."""


def _cut(kitchen: Kitchen, channel: TokenChannel, video: SampledVideo, *, told: bool) -> _Cuts:
    config = kitchen.config
    if channel.ordered:
        raise InputError("steps whose tokens come in an order are not cut; use a channel that is not ordered")
    odds_AT = emission(config, channel)[:, 0] * channel.size(config.actions)  # over chance, so that products stay small
    odds_AT = np.maximum(odds_AT, _IMPOSSIBLE)
    logs_NA = np.cumsum(np.log(odds_AT[:, video.video.visual].T), axis=0)
    logs_NA = np.vstack([np.zeros(config.actions), logs_NA])
    places = np.arange(len(logs_NA))
    lengths_NN = places - places[:, None]
    possible_NN = (lengths_NN >= channel.tokens_min) & (lengths_NN <= channel.tokens_max)
    if told:
        right_NN = np.zeros_like(possible_NN)
        for segment in video.video.segments:
            right_NN[segment.first_clip, segment.last_clip] = True
        possible_NN &= right_NN
    likely_NNA = np.exp(np.where(possible_NN[..., None], logs_NA - logs_NA[:, None], -np.inf))
    seen_NNA = likely_NNA / (channel.tokens_max - channel.tokens_min + 1)
    ended_SNA = np.zeros((config.steps_max + 1, *logs_NA.shape))
    ended_SNA[1] = kitchen.stationary_A * seen_NNA[0]
    for steps in range(2, config.steps_max + 1):
        ended_SNA[steps] = np.einsum("bA,beA->eA", ended_SNA[steps - 1] @ kitchen.transition_AA, seen_NNA)
    ended_SNA[: config.steps_min, -1] = 0.0
    return _Cuts(ended_SNA, seen_NNA)


def _posterior_chains(
    kitchen: Kitchen, channel: TokenChannel, videos: Sequence[SampledVideo], *, told: bool
) -> Iterator[list[tuple[int, ...]]]:
    """Chains of actions of each video, drawn from their posterior given all tokens, backwards from the end."""
    for video in videos:
        cuts, rng = _cut(kitchen, channel, video, told=told), random_for(0, video.recipe.key)
        yield [_chain(kitchen, cuts, rng) for _ in range(CHAINS)]


def _chain(kitchen: Kitchen, cuts: _Cuts, rng: np.random.Generator) -> tuple[int, ...]:
    steps, action = _draw(cuts.ended_SNA[:, -1], rng)
    end, chain = cuts.ended_SNA.shape[1] - 1, [action]
    for before in range(steps - 1, 0, -1):
        weight_NA = cuts.ended_SNA[before] * kitchen.transition_AA[:, action] * cuts.seen_NNA[:, end, action, None]
        end, action = _draw(weight_NA, rng)
        chain.append(action)
    return tuple(reversed(chain))


def _draw(weights_RC: Floats, rng: np.random.Generator) -> tuple[int, int]:
    """Row and column, as likely as their weight."""
    cumulated = np.cumsum(weights_RC)
    place = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
    row, column = divmod(place, weights_RC.shape[1])
    return row, column
