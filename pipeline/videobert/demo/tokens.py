"""The kitchen without pixels: visual tokens sampled straight from the grammar, with the truth next to them.

Suffixes: A actions, P phases of a step, T token values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videobert.demo.grammar import KitchenConfig, Recipe, build_kitchen, random_for
from videobert.demo.words import CHATTER, TEMPLATES
from videobert.errors import InputError
from videobert.tokens.records import Segment, TokenizedVideo

__all__ = ["SampledVideo", "TokenChannel", "emission", "phase_of_tokens", "sample_pairs", "sample_video", "vocabulary"]

CLIP_SECONDS = 1.5
"""Length of a clip, section 4.2 of the paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChannel:
    """How an action becomes visual tokens."""

    ids_per_action: int = 2
    """Visual ids that belong to one action."""
    background_ids: int = 16
    """Further ids that no action owns; they occur as noise only."""
    noise: float = 0.4
    """Chance that a token is drawn uniformly from all ids instead of those of its action."""
    tokens_min: int = 3
    """Fewest tokens of a step."""
    tokens_max: int = 8
    """Most tokens of a step."""
    ordered: bool = False
    """Whether a step shows its ids one after the other, in place of any of them at any time. Actions 2 k and 2 k + 1
    then share ids, the one from first to last, the other from last to first, as opening and closing do."""

    def __post_init__(self) -> None:
        if self.ids_per_action < 1 or self.background_ids < 0 or not 0 <= self.noise <= 1:
            raise InputError(
                f"ids_per_action={self.ids_per_action}, background_ids={self.background_ids}, noise={self.noise} make "
                "no channel; use at least one id an action, no fewer than 0 background ids and noise in 0..1"
            )
        if not 1 <= self.tokens_min <= self.tokens_max:
            raise InputError(
                f"tokens_min={self.tokens_min}, tokens_max={self.tokens_max} is no range; use 1 <= least <= most"
            )

    @property
    def phases(self) -> int:
        """Parts of a step, equally long, that show different ids."""
        return self.ids_per_action if self.ordered else 1

    def size(self, actions: int) -> int:
        """How many visual ids exist."""
        return self.owners(actions) * self.ids_per_action + self.background_ids

    def owners(self, actions: int) -> int:
        """How many actions, or pairs of them, own ids."""
        return (actions + 1) // 2 if self.ordered else actions

    def owned(self, actions: int) -> NDArray[np.int64]:
        """The ids that each action shows, in each phase any of its row with equal chance, shape [A, P, ids]."""
        ids = np.arange(self.owners(actions) * self.ids_per_action).reshape(-1, self.ids_per_action)
        if not self.ordered:
            return ids[:, None]
        return np.stack([ids, ids[:, ::-1]], axis=1).reshape(-1, self.ids_per_action, 1)[:actions]


def phase_of_tokens(length: int, phases: int) -> NDArray[np.int64]:
    """Which phase each token of a step of `length` tokens shows, shape [length]."""
    return np.arange(length) * phases // length


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledVideo:
    """One video as the token stage would hand it on, and the recipe behind it: segment i is step i."""

    video: TokenizedVideo
    recipe: Recipe
    """Verb, noun, sentence and kind of narration of every step. Its seconds are those of a rendered video, not of the
    tokens here."""


def emission(config: KitchenConfig, channel: TokenChannel) -> NDArray[np.float64]:
    """P(token | action, phase of the step), shape [A, P, T]."""
    values, owned = channel.size(config.actions), channel.owned(config.actions)
    table_APT = np.full((config.actions, channel.phases, values), channel.noise / values)
    np.put_along_axis(table_APT, owned, channel.noise / values + (1 - channel.noise) / owned.shape[-1], axis=2)
    return table_APT


def sample_video(config: KitchenConfig, key: str, *, channel: TokenChannel | None = None) -> SampledVideo:
    """The video `key` as tokens: the recipe is that of the rendered video of the same key."""
    channel = channel or TokenChannel()
    recipe = build_kitchen(config).recipe(key)
    rng = random_for(config.seed, f"tokens/{key}")
    lengths = rng.integers(channel.tokens_min, channel.tokens_max + 1, size=len(recipe.steps))
    actions = np.repeat([step.action for step in recipe.steps], lengths)
    ids = channel.owned(config.actions)
    phases = np.concatenate([phase_of_tokens(length, channel.phases) for length in lengths])
    owned = ids[actions, phases, rng.integers(ids.shape[-1], size=len(actions))]
    stray = rng.integers(channel.size(config.actions), size=len(actions))
    visual = np.where(rng.random(len(actions)) < channel.noise, stray, owned).astype(np.int32)
    ends = np.cumsum(lengths)
    segments = tuple(
        Segment(
            start_seconds=float(end - length) * CLIP_SECONDS,
            end_seconds=float(end) * CLIP_SECONDS,
            first_clip=int(end - length),
            last_clip=int(end),
            text=step.caption,
        )
        for step, end, length in zip(recipe.steps, ends, lengths, strict=True)
    )
    name = hashlib.sha256(f"{config.digest()}/{key}".encode()).hexdigest()
    return SampledVideo(video=TokenizedVideo(video_id=name, visual=visual, segments=segments), recipe=recipe)


def sample_pairs(
    config: KitchenConfig, pairs: int, *, split: str, channel: TokenChannel | None = None
) -> Iterator[SampledVideo]:
    """Videos until they hold at least `pairs` (sentence, tokens) pairs; another `split` name gives other videos."""
    have, index = 0, 0
    while have < pairs:
        sampled = sample_video(config, f"{split}/{index:07d}", channel=channel)
        yield sampled
        have += len(sampled.recipe.steps)
        index += 1


def vocabulary(config: KitchenConfig) -> tuple[str, ...]:
    """Every word that a sentence of this kitchen can hold, sorted; for a whole-word tokenizer."""
    kitchen = build_kitchen(config)
    words = {*kitchen.verbs, *kitchen.nouns}
    for sentence in (*CHATTER, *(template.format(verb="", noun="") for template in TEMPLATES)):
        words.update(sentence.split())
    return tuple(sorted(words))
