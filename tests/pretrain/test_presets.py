import dataclasses
import math

import numpy as np
import pytest

from tests.benchmarks.learning.measure import zero_shot_figures
from tests.benchmarks.learning.world import World, stretches
from videobert.demo.grammar import demo_kitchen
from videobert.demo.oracle import language_prior
from videobert.demo.tokens import TokenChannel
from videobert.evaluate.metrics import recall_at_k, retrieval_ranks
from videobert.model.network import VideoBert
from videobert.model.scoring import encode_text, encode_video
from videobert.pretrain.presets import small
from videobert.pretrain.train import train

WORLD = World(kitchen=demo_kitchen(), channel=TokenChannel(background_ids=0, noise=0.35, tokens_min=3, tokens_max=4))


@pytest.mark.slow
def test_the_small_preset_learns_the_kitchen_of_the_demo() -> None:
    config = dataclasses.replace(small(), steps=450)
    model = VideoBert.create(config, vocabulary=WORLD.words)
    train(model, [sampled.video for sampled in WORLD.videos(390, split="train")], config)

    held_out = WORLD.videos(500, split="oracle")
    steps, seen = [step for sampled in held_out for step in sampled.recipe.steps], stretches(held_out)
    found, prior = zero_shot_figures(WORLD, model, held_out, seen), language_prior(WORLD.kitchen)
    for name, chance in (("verb@1", prior.verb_top1), ("noun@1", prior.noun_top1)):
        assert found[name] > chance + 5 * math.sqrt(chance * (1 - chance) / len(steps))

    texts = [WORLD.text(f"next we {step.verb} the {step.noun}") for step in steps[:100]]
    ranks = retrieval_ranks(encode_text(model, texts) @ encode_video(model, seen[:100]).T)
    assert recall_at_k(ranks, k=10) > 0.3
    shuffled = np.random.default_rng(0).permutation(100)
    strangers = retrieval_ranks(encode_text(model, texts) @ encode_video(model, [seen[i] for i in shuffled]).T)
    assert recall_at_k(strangers, k=10) < 0.25
