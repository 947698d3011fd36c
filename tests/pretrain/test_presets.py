import dataclasses
import math

import numpy as np
import pytest

from pipeline.corpus.grammar import build_kitchen, demo_kitchen
from pipeline.corpus.tokens import SampledVideo, TokenChannel, sample_pairs, vocabulary
from pipeline.pretrain.metrics import recall_at_k, retrieval_ranks, top_k_accuracy
from pipeline.pretrain.model import VideoBert
from pipeline.pretrain.presets import small
from pipeline.pretrain.score import encode_text, encode_video, zero_shot
from pipeline.pretrain.train import train
from pipeline.pretrain.vocabulary import Vocabulary
from pipeline.tokens.records import TokenizedVideo

KITCHEN = demo_kitchen()
CHANNEL = TokenChannel(background_ids=0, noise=0.35, tokens_min=3, tokens_max=4)
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
IDS = {word: i for i, word in enumerate((*SPECIALS, *vocabulary(KITCHEN)))}


def ids_of(sentence: str) -> tuple[int, ...]:
    return tuple(IDS[word] for word in sentence.split())


def tokenized(sampled: SampledVideo) -> TokenizedVideo:
    segments = tuple(dataclasses.replace(s, text_ids=ids_of(s.text)) for s in sampled.video.segments)
    return dataclasses.replace(sampled.video, segments=segments)


@pytest.mark.slow
def test_the_small_preset_learns_the_kitchen_of_the_demo() -> None:
    words = Vocabulary.from_wordpiece(IDS, leaves=CHANNEL.size(KITCHEN.actions))
    videos = [tokenized(sampled) for sampled in sample_pairs(KITCHEN, 390, split="train", channel=CHANNEL)]
    config = dataclasses.replace(small(), steps=450)
    model = VideoBert.create(config, vocabulary=words)
    train(model, videos, config)

    held_out = list(sample_pairs(KITCHEN, 500, split="oracle", channel=CHANNEL))
    steps = [step for sampled in held_out for step in sampled.recipe.steps]
    seen = [s.video.visual[g.first_clip : g.last_clip] for s in held_out for g in s.video.segments]
    kitchen = build_kitchen(KITCHEN)
    prompt = ids_of("now let me show you how to [MASK] the [MASK]")
    verb_ids, noun_ids = (tuple(IDS[word] for word in group) for group in (kitchen.verbs, kitchen.nouns))
    found = zero_shot(model, prompt, seen, verb_ids=verb_ids, noun_ids=noun_ids)
    prior = zero_shot(model, prompt, [None] * len(seen), verb_ids=verb_ids, noun_ids=noun_ids)
    verbs = [[kitchen.verbs.index(step.verb)] for step in steps]
    nouns = [[kitchen.nouns.index(step.noun)] for step in steps]
    for scores, blind, labels in ((found.verbs, prior.verbs, verbs), (found.nouns, prior.nouns, nouns)):
        chance = top_k_accuracy(blind, labels, k=1)
        sigma = math.sqrt(chance * (1 - chance) / len(steps))
        assert top_k_accuracy(scores, labels, k=1) > chance + 5 * sigma

    texts = [ids_of(f"next we {step.verb} the {step.noun}") for step in steps[:100]]
    ranks = retrieval_ranks(encode_text(model, texts) @ encode_video(model, seen[:100]).T)
    assert recall_at_k(ranks, k=10) > 0.3
    shuffled = np.random.default_rng(0).permutation(100)
    strangers = retrieval_ranks(encode_text(model, texts) @ encode_video(model, [seen[i] for i in shuffled]).T)
    assert recall_at_k(strangers, k=10) < 0.25
