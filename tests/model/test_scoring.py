import dataclasses

import numpy as np
import pytest
import torch

from tests.model.material import FIRST_WORD, MASK, TINY, video, vocabulary
from videobert.errors import InputError
from videobert.evaluate.metrics import retrieval_ranks, top_k_accuracy
from videobert.model.batch import pack_sequences
from videobert.model.network import VideoBert
from videobert.model.scoring import alignment_logits, encode_text, encode_video, pooled, predict_visual, zero_shot
from videobert.pretrain.config import LossWeights, Mixture, PretrainConfig
from videobert.pretrain.data import layout
from videobert.pretrain.train import train

VERBS, NOUNS = 4, 5
WORDS = vocabulary(VERBS + NOUNS + 4, 1 + VERBS * NOUNS)
LET, US, THE, WELL = (FIRST_WORD + VERBS + NOUNS + i for i in range(4))
VERB_IDS = range(FIRST_WORD, FIRST_WORD + VERBS)
NOUN_IDS = range(FIRST_WORD + VERBS, FIRST_WORD + VERBS + NOUNS)
PROMPT = [LET, US, MASK, THE, MASK]
RNG = np.random.default_rng(0)
CLIPS = [RNG.integers(WORDS.leaves, size=int(n)).astype(np.int32) for n in RNG.integers(1, 12, size=150)]
TEXTS = [RNG.integers(FIRST_WORD, WORDS.text_size, size=int(n)).tolist() for n in RNG.integers(1, 9, size=150)]


@pytest.fixture(scope="module")
def model() -> VideoBert:
    config = PretrainConfig(architecture=dataclasses.replace(TINY, dropout=0.5), retrieval_dim=16)
    return VideoBert.create(config, vocabulary=WORDS)


@pytest.fixture(scope="module")
def trained() -> VideoBert:
    """A model of a world where leaf 1 + verb x NOUNS + noun shows exactly one action."""
    videos = [
        video(f"v{i}", [[LET, US, VERB_IDS[i // NOUNS], THE, NOUN_IDS[i % NOUNS]]] * 2, [[1 + i] * 3] * 2)
        for i in range(VERBS * NOUNS)
    ]
    config = PretrainConfig(
        architecture=dataclasses.replace(TINY, hidden=64, intermediate=128, initializer_range=0.12),
        learning_rate=3e-3, warmup_steps=20, batch_size=40, steps=350, subsample_rates=(1,), freeze_visual=False,
        mask_probability=0.4, weights=LossWeights(alignment=3, retrieval=1), mixture=Mixture(video_text=3),
        concatenate_probability=0, negatives="other", threads=1,
    )  # fmt: skip
    model = VideoBert.create(config, vocabulary=WORDS)
    train(model, videos, config)
    return model


SEEN = [np.full(3, 1 + i, np.int32) for i in range(VERBS * NOUNS)]
VERB_OF = [[i // NOUNS] for i in range(VERBS * NOUNS)]
NOUN_OF = [[i % NOUNS] for i in range(VERBS * NOUNS)]
SENTENCES = [[LET, US, VERB_IDS[i // NOUNS], THE, NOUN_IDS[i % NOUNS]] for i in range(VERBS * NOUNS)]


def test_what_is_seen_is_named_first(trained: VideoBert) -> None:
    scores = zero_shot(trained, PROMPT, SEEN, verb_ids=VERB_IDS, noun_ids=NOUN_IDS)
    assert top_k_accuracy(scores.verbs, VERB_OF, k=1) == 1.0
    assert top_k_accuracy(scores.nouns, NOUN_OF, k=1) == 1.0


def test_the_language_prior_sees_nothing(trained: VideoBert) -> None:
    scores = zero_shot(trained, PROMPT, [None] * len(SEEN), verb_ids=VERB_IDS, noun_ids=NOUN_IDS)
    assert (scores.verbs == scores.verbs[0]).all()
    assert top_k_accuracy(scores.verbs, VERB_OF, k=1) == 1 / VERBS


def test_sentences_find_their_video_and_pairs_are_told_from_strangers(trained: VideoBert) -> None:
    similarity = encode_text(trained, SENTENCES) @ encode_video(trained, SEEN).T
    assert (retrieval_ranks(similarity) == 1).mean() >= 0.9
    own, other = alignment_logits(trained, SENTENCES, SEEN), alignment_logits(trained, SENTENCES, SEEN[7:] + SEEN[:7])
    assert (own[:, None] > other[None, :]).mean() > 0.9


def test_the_video_of_a_sentence_is_imagined_and_what_goes_on_is_forecast(trained: VideoBert) -> None:
    truth = np.arange(1, 1 + len(SEEN))
    coming = predict_visual(trained, [None] * len(SEEN), SEEN, places=1, k=2)
    assert (coming.leaves[:, 0, 0] == truth).mean() > 0.9
    assert (coming.probabilities[..., 0] >= coming.probabilities[..., 1]).all()
    # Videos of one clip, which is masked, so that only the sentence can tell it.
    videos = [video(f"v{i}", [sentence], [[1 + i]]) for i, sentence in enumerate(SENTENCES)]
    silent = LossWeights(text_only=0, video_only=0, joint_text=0, alignment=0, retrieval=0)
    config = PretrainConfig(
        architecture=dataclasses.replace(TINY, initializer_range=0.15), learning_rate=5e-3, warmup_steps=20,
        batch_size=20, steps=250, mixture=Mixture(text_only=0, video_only=0), weights=silent, negative_fraction=0,
        concatenate_probability=0, threads=1,
    )  # fmt: skip
    dreamer = VideoBert.create(config, vocabulary=WORDS)
    train(dreamer, videos, config)
    imagined = predict_visual(dreamer, SENTENCES, [np.empty(0, np.int32)] * len(SEEN), places=1, k=2)
    assert (imagined.leaves[:, 0, 0] == truth).mean() > 0.9


def test_guesses_are_read_at_the_masks_after_the_last_that_was_seen(model: VideoBert) -> None:
    seen = CLIPS[7]
    visual_N = np.append(WORDS.visual_ids(seen), [MASK, MASK])
    ids_L, types_L = layout(np.array(TEXTS[3]), visual_N, vocabulary=WORDS)
    tokens, _ = pack_sequences([ids_L], [types_L])
    with torch.no_grad():
        shares_LV = model.eval().cloze_logits(model(tokens)).softmax(-1).numpy()
    found = predict_visual(model, TEXTS[:9], CLIPS[4:13], places=2, k=3)
    assert found.leaves.shape == found.probabilities.shape == (9, 2, 3)
    visual_PV = shares_LV[-3:-1, WORDS.first_visual :]
    assert found.leaves[3].tolist() == np.argsort(-visual_PV, axis=1)[:, :3].tolist()
    assert found.probabilities[3] == pytest.approx(-np.sort(-visual_PV, axis=1)[:, :3], abs=1e-6)
    long = np.arange(90, dtype=np.int32) % WORDS.leaves
    whole, cut = (predict_visual(model, [None], [seen], places=2, k=5) for seen in (long, long[-59:]))
    assert whole.probabilities == pytest.approx(cut.probabilities, abs=1e-7)
    for places, k in ((0, 1), (1, 0), (1, WORDS.leaves + 1)):
        with pytest.raises(InputError, match="guesses"):
            predict_visual(model, [None], [long], places=places, k=k)


def test_scores_are_log_probabilities_over_the_whole_vocabulary(model: VideoBert) -> None:
    scores = zero_shot(model, PROMPT, CLIPS[:3], verb_ids=range(WORDS.size), noun_ids=VERB_IDS)
    assert np.exp(scores.verbs).sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert scores.nouns.shape == (3, VERBS)


def test_each_mask_is_read_at_its_own_place(model: VideoBert) -> None:
    ids_L, types_L = layout(np.array(PROMPT), WORDS.visual_ids(CLIPS[0]), vocabulary=WORDS)
    tokens, _ = pack_sequences([ids_L], [types_L])
    with torch.no_grad():
        log_LV = model.eval().cloze_logits(model(tokens)).log_softmax(-1).numpy()
    scores = zero_shot(model, PROMPT, CLIPS[:1], verb_ids=VERB_IDS, noun_ids=NOUN_IDS)
    assert scores.verbs[0] == pytest.approx(log_LV[3, list(VERB_IDS)], abs=1e-5)
    assert scores.nouns[0] == pytest.approx(log_LV[5, list(NOUN_IDS)], abs=1e-5)


def test_results_do_not_depend_on_neighbours_or_order(model: VideoBert) -> None:
    order = np.random.default_rng(1).permutation(len(CLIPS))
    shuffled = [CLIPS[i] for i in order], [TEXTS[i] for i in order]
    for whole, mixed in (
        (encode_video(model, CLIPS), encode_video(model, shuffled[0])),
        (encode_text(model, TEXTS), encode_text(model, shuffled[1])),
        (pooled(model, CLIPS, pool="paper", prompt=PROMPT), pooled(model, shuffled[0], pool="paper", prompt=PROMPT)),
        (alignment_logits(model, TEXTS, CLIPS), alignment_logits(model, shuffled[1], shuffled[0])),
    ):
        assert np.abs(whole[order] - mixed).max() < 1e-5
    assert np.abs(encode_video(model, CLIPS[70:71]) - encode_video(model, CLIPS)[70]).max() < 1e-5


def test_vectors_have_unit_length(model: VideoBert) -> None:
    for vectors in (encode_video(model, CLIPS), encode_text(model, TEXTS)):
        assert vectors.shape == (150, 16)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_pooling_follows_its_definitions(model: VideoBert) -> None:
    clips = CLIPS[5]
    ids_L, types_L = layout(np.array(PROMPT), WORDS.visual_ids(clips), vocabulary=WORDS)
    tokens, _ = pack_sequences([ids_L], [types_L])
    with torch.no_grad():
        hidden_LD = model.eval()(tokens).numpy()
    expected = np.concatenate([hidden_LD[7:-1].mean(0), hidden_LD[[3, 5]].mean(0)])
    assert pooled(model, [clips], pool="paper", prompt=PROMPT)[0] == pytest.approx(expected, abs=1e-5)
    ids_L, types_L = layout(None, WORDS.visual_ids(clips), vocabulary=WORDS)
    tokens, _ = pack_sequences([ids_L], [types_L])
    with torch.no_grad():
        hidden_LD = model(tokens).numpy()
    assert pooled(model, [clips], pool="cls")[0] == pytest.approx(hidden_LD[0], abs=1e-5)
    assert pooled(model, [clips], pool="mean")[0] == pytest.approx(hidden_LD[2:-1].mean(0), abs=1e-5)


def test_scoring_leaves_the_mode_and_the_dropout_alone(model: VideoBert) -> None:
    model.train()
    first, second = encode_video(model, CLIPS[:5]), encode_video(model, CLIPS[:5])
    assert model.training
    assert (first == second).all()


def test_nothing_to_score_gives_empty_arrays(model: VideoBert) -> None:
    assert encode_text(model, []).shape == (0, 16)
    assert pooled(model, [], pool="paper", prompt=PROMPT).shape == (0, 64)
    assert zero_shot(model, PROMPT, [], verb_ids=VERB_IDS, noun_ids=NOUN_IDS).verbs.shape == (0, VERBS)
    assert alignment_logits(model, [], []).shape == (0,)


def test_long_videos_are_cut_and_long_texts_refused(model: VideoBert) -> None:
    long = np.arange(200, dtype=np.int32) % WORDS.leaves
    assert encode_video(model, [long])[0] == pytest.approx(encode_video(model, [long[:61]])[0], abs=1e-6)
    with pytest.raises(InputError, match="exceeds the model's 64"):
        encode_text(model, [[FIRST_WORD] * 63])


def test_prompts_without_their_masks_are_refused(model: VideoBert) -> None:
    with pytest.raises(InputError, match="1 "):
        zero_shot(model, [LET, MASK], CLIPS[:1], verb_ids=VERB_IDS, noun_ids=NOUN_IDS)
    with pytest.raises(InputError, match="add"):
        pooled(model, CLIPS[:1], pool="paper", prompt=[LET])
    with pytest.raises(InputError, match="do not pair"):
        alignment_logits(model, TEXTS[:2], CLIPS[:1])
