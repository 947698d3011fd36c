from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.model.material import FIRST_WORD, TINY, random_videos, video, vocabulary
from videobert.model.batch import Batch, collate
from videobert.model.network import VideoBert
from videobert.pretrain.config import LossWeights, Mixture, PretrainConfig
from videobert.pretrain.data import Example, PretrainData
from videobert.pretrain.objective import PARTS, counts, loss_sums

WORDS = vocabulary(60, 40)
ALL = LossWeights()


@pytest.fixture(scope="module")
def model() -> VideoBert:
    return VideoBert.create(PretrainConfig(architecture=TINY), vocabulary=WORDS).double().eval()


def examples(seed: int = 0, **options: Any) -> list[Example]:
    config = PretrainConfig(batch_size=24, seed=seed, **options)
    videos = random_videos(12, words=60, leaves=40)
    return PretrainData(videos, vocabulary=WORDS, config=config, max_length=64).examples(0)


def test_sums_of_parts_add_up_to_the_sum_of_the_whole(model: VideoBert) -> None:
    rows = examples()
    weights = LossWeights(retrieval=0)
    with torch.no_grad():
        whole = loss_sums(model, collate(rows), weights=weights)
        split = sum(loss_sums(model, collate(rows[i::3]), weights=weights) for i in range(3))
    assert (whole - split).abs().max() < 1e-9
    assert torch.equal(
        counts(collate(rows))[:5], torch.stack([counts(collate(rows[i::3])) for i in range(3)]).sum(0)[:5]
    )


def test_each_loss_is_the_cross_entropy_of_its_tokens(model: VideoBert) -> None:
    batch = collate(examples())
    with torch.no_grad():
        sums = loss_sums(model, batch, weights=ALL)
        hidden_TD = model(batch.tokens)
        log_MV = model.cloze_logits(hidden_TD[batch.masked_M]).log_softmax(-1)
        odds_P = model.alignment_logits(hidden_TD[batch.tokens.packing.first_B[batch.pairs_P]])
    losses_M = -log_MV[torch.arange(len(log_MV)), batch.targets_M]
    for part in range(4):
        assert float(sums[part]) == pytest.approx(float(losses_M[batch.parts_M == part].sum()))
    chance_P = torch.where(batch.aligned_P.bool(), odds_P.sigmoid(), (-odds_P).sigmoid())
    assert float(sums[4]) == pytest.approx(float(-chance_P.log().sum()), rel=1e-6)
    assert counts(batch).tolist()[4] == len(batch.pairs_P) == 12


def test_info_nce_ranks_each_text_among_the_videos_and_each_video_among_the_texts(model: VideoBert) -> None:
    batch = collate(examples())
    with torch.no_grad():
        total = loss_sums(model, batch, weights=ALL)[PARTS.index("retrieval")]
        hidden_TD = model(batch.tokens)
        text_RD = model.text_vectors(hidden_TD, batch.tokens, batch.texts_R)
        video_RD = model.video_vectors(hidden_TD, batch.tokens, batch.videos_R)
        logits_RR = text_RD @ video_RD.T / model.temperature()
    target_R = torch.arange(len(logits_RR))
    both = (F.cross_entropy(logits_RR, target_R) + F.cross_entropy(logits_RR.T, target_R)) / 2
    assert float(total) == pytest.approx(float(both) * len(target_R))
    assert len(target_R) == 6


def test_segments_with_the_same_sentence_are_no_negatives_of_each_other(model: VideoBert) -> None:
    sentence = [FIRST_WORD, FIRST_WORD + 1, FIRST_WORD + 2]
    videos = [video(f"v{i}", [sentence], [[i, i + 1, i + 2]]) for i in range(8)]
    config = PretrainConfig(batch_size=16, mixture=Mixture(text_only=1, video_only=1, video_text=0))
    batch = collate(PretrainData(videos, vocabulary=WORDS, config=config, max_length=64).examples(0))
    assert len(batch.texts_R) == 8
    with torch.no_grad():
        assert float(loss_sums(model, batch, weights=ALL)[5]) == pytest.approx(0.0, abs=1e-9)


def test_retrieval_with_weight_zero_costs_nothing(model: VideoBert) -> None:
    with torch.no_grad():
        sums = loss_sums(model, collate(examples()), weights=LossWeights(retrieval=0))
    assert float(sums[5]) == 0.0
    assert "retrieval" in PARTS


def test_a_batch_of_one_regime_has_losses_of_that_regime_only(model: VideoBert) -> None:
    batch = collate(examples(mixture=Mixture(text_only=1, video_only=0, video_text=0)))
    with torch.no_grad():
        sums = loss_sums(model, batch, weights=ALL)
    assert (sums > 0).tolist() == [True, False, False, False, False, False]
    assert counts(batch).tolist()[1:] == [0.0] * 5


def test_unmasked_tokens_are_no_part_of_the_loss(model: VideoBert) -> None:
    batch: Batch = collate(examples())
    assert len(batch.masked_M) < len(batch.tokens.ids_T) / 2
    assert len(np.unique(batch.masked_M.numpy())) == len(batch.masked_M)
