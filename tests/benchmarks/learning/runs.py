"""How the models of the benchmark are trained, and how long. Kept together, so that a reader sees what differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tests.benchmarks.learning.world import World
from videobert.demo.grammar import demo_kitchen
from videobert.demo.tokens import TokenChannel
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.presets import medium, small
from videobert.pretrain.train import train
from videobert.tokens.records import TokenizedVideo

__all__ = ["design", "design_config", "small_config", "small_world", "trained"]


def design() -> World:
    """12 verbs x 24 nouns, 120 actions, 256 visual tokens, 40 % noise, narration half of the time on another step."""
    return World()


def design_config(pairs: int, *, seed: int) -> PretrainConfig:
    """`medium`, in proportion, but 6,000 steps at least: fewer pairs take as many to tell which word is which."""
    steps = max(6_000, round(medium().steps * min(1.0, pairs / 20_000)))
    return dataclasses.replace(medium(), steps=steps, seed=seed)


def small_world(*, honest: bool = False, channel: TokenChannel = TokenChannel(noise=0.35)) -> World:  # noqa: B008 - frozen
    """For gates that need several models: 8 verbs x 10 nouns, 32 actions, 80 visual tokens.

    `honest` narration tells every step, when it is seen.
    """
    kitchen = demo_kitchen()
    if honest:
        kitchen = dataclasses.replace(kitchen, narration_current=1.0, narration_neighbour=0.0)
    return World(kitchen=kitchen, channel=channel)


def small_config(*, seed: int, steps: int = 1_200) -> PretrainConfig:
    """`small` without dropout: no thousands of pairs are learnt by heart in these steps."""
    base = small()
    return dataclasses.replace(
        base, architecture=dataclasses.replace(base.architecture, dropout=0.0), steps=steps, seed=seed
    )


def trained(
    world: World, videos: Sequence[TokenizedVideo], config: PretrainConfig, *, positions: bool = True
) -> VideoBert:
    """A model of the world; without `positions` all places look alike to it."""
    model = VideoBert.create(config, vocabulary=world.words, centroids_NF=world.centroids_NF)
    if not positions:
        model.bert.embeddings.position_embeddings.weight.data.zero_()
        model.bert.embeddings.position_embeddings.weight.requires_grad_(False)
    train(model, videos, config)
    return model
