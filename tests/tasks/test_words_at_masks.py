"""What a model would say at the masks of a prompt, as what a head reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.model.material import TINY, vocabulary
from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.model.network import VideoBert
from videobert.model.scoring import mask_scores
from videobert.pretrain.config import PretrainConfig
from videobert.tasks.base import Example
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.padded import PaddedClassifier
from videobert.tasks.sequences import frozen_features, words_at_masks
from videobert.tokens.footage import Footage

WORDS = vocabulary(60, 40)
PROMPT = (7, WORDS.mask, 8, WORDS.mask)
NAMES = {0: "chop", 1: "stir"}


def network() -> VideoBertForVideoClassification:
    encoder = VideoBert.create(PretrainConfig(architecture=TINY, retrieval_dim=16), vocabulary=WORDS)
    return VideoBertForVideoClassification(
        encoder, id2label=NAMES, problem_type="single_label_classification", pool="words", prompt=PROMPT
    ).eval()


def examples() -> list[Example]:
    rng = np.random.default_rng(0)
    return [
        Example(video_id=str(count), footage=Footage.plain(rng.integers(40, size=count))) for count in (1, 9, 4)
    ]  # fmt: skip


def test_it_is_the_mean_word_that_zero_shot_finds_at_each_mask() -> None:
    encoder, words = network().encoder, range(WORDS.first_visual)
    table_WD = encoder.bert.embeddings.word_embeddings.weight[: WORDS.first_visual].detach().numpy()
    seen = [example.footage for example in examples()]
    expected = np.zeros((3, table_WD.shape[1]))
    for scores_BW in mask_scores(encoder, PROMPT, seen, candidates=(words, words)):
        shares_BW = np.exp(scores_BW)
        expected += shares_BW / shares_BW.sum(axis=1, keepdims=True) @ table_WD
    assert np.allclose(frozen_features(encoder, examples(), prompt=PROMPT), expected, atol=1e-5)


def test_a_long_text_does_not_push_the_prompt_out() -> None:
    made, (example, *_) = network(), examples()
    said = replace(example, text_ids=tuple(range(10, 60)) * 9)
    (one,), (two,) = made.outputs([said]), made.outputs([replace(said, text_ids=said.text_ids[:3])])
    assert np.isfinite(one).all() and not np.array_equal(one, two), "both are read, the text as far as there is room"
    assert not np.array_equal(made.outputs([example])[0], two)


def test_it_is_learnt_and_saved_and_loaded(tmp_path: Path) -> None:
    made = network()
    made.train()
    losses, _ = made.losses([replace(e, target=np.int64(i % 2)) for i, e in enumerate(examples())])
    losses.sum().backward()  # type: ignore[no-untyped-call]
    first = dict(made.named_parameters())["encoder.bert.encoder.layer.0.attention.self.query.weight"]
    assert first.grad is not None and bool(first.grad.any())
    made.eval()
    made.save_pretrained(tmp_path, facts={})
    loaded = VideoBertForVideoClassification.from_pretrained(tmp_path)
    assert loaded.prompt == PROMPT
    assert np.array_equal(np.stack(loaded.outputs(examples())), np.stack(made.outputs(examples())))
    with pytest.raises(InputError, match=r"pool words is no encoder with a head alone"):
        PaddedClassifier(loaded)


def test_a_prompt_that_asks_nothing_or_is_too_long_is_refused() -> None:
    encoder = network().encoder
    for prompt in ((7, 8), (WORDS.mask, *range(5, 55)) * 9):
        with torch.inference_mode(), pytest.raises(InputError, match=r"give one with a \[MASK\] and at most"):
            words_at_masks(encoder, examples(), prompt)
    with pytest.raises(InputError, match=r"finetune\.prompt is 'chop it'; it needs a \[MASK\]"):
        FinetuneConfig(pool="words", prompt="chop it")
    with pytest.raises(InputError, match=r"pool words asks in one sequence"):
        FinetuneConfig(pool="words", fusion="cross")
