from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.model.material import CLS, FIRST_WORD, MASK, SEP, numbered, random_videos, vocabulary
from videobert.errors import InputError
from videobert.model.batch import collate
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.config import Mixture, PretrainConfig
from videobert.pretrain.data import Example, Part, PretrainData
from videobert.tokens.records import TokenizedVideo

WORDS = vocabulary(60, 40)


def data(
    videos: Sequence[TokenizedVideo] | None = None, words: Vocabulary = WORDS, *, max_length: int = 128, **options: Any
) -> PretrainData:
    videos = random_videos(20, words=60, leaves=40) if videos is None else videos
    return PretrainData(videos, vocabulary=words, config=PretrainConfig(**options), max_length=max_length)


def key(example: Example) -> tuple[bytes, ...]:
    return tuple(getattr(example, name).tobytes() for name in ("ids_L", "types_L", "masked_M", "targets_M", "parts_M"))


def restored(example: Example) -> np.ndarray:
    ids_L = example.ids_L.copy()
    ids_L[example.masked_M] = example.targets_M
    return ids_L


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_the_batch_of_a_step_does_not_depend_on_the_number_of_workers(parts: int) -> None:
    source = data(batch_size=32)
    for step in (0, 7):
        whole = Counter(key(e) for e in source.examples(step))
        shared = Counter(key(e) for part in range(parts) for e in source.examples(step, part=part, parts=parts))
        assert whole == shared


def test_any_step_can_be_made_again_from_nothing() -> None:
    source = data(batch_size=32)
    steps = [[key(e) for e in source.examples(step)] for step in range(12)]
    for step in (11, 3, 8):
        assert [key(e) for e in data(batch_size=32).examples(step)] == steps[step]
    assert steps[0] != [key(e) for e in data(batch_size=32, seed=1).examples(0)]


def test_regimes_have_their_form_and_their_share() -> None:
    counts = Counter[str]()
    for step in range(10):
        mixture = Mixture(text_only=1, video_only=1, video_text=2)
        for example in data(batch_size=32, mixture=mixture, joint_cloze=False).examples(step):
            ids_L, types_L = restored(example), example.types_L
            text = bool(((ids_L >= FIRST_WORD) & (ids_L < WORDS.text_size)).any())
            visual = bool((ids_L >= WORDS.first_visual).any())
            counts[f"{text}{visual}"] += 1
            assert ids_L[0] == CLS
            assert ids_L[-1] == SEP
            assert (ids_L == WORDS.arrow).sum() == int(visual)
            if visual:
                arrow = int(np.flatnonzero(ids_L == WORDS.arrow)[0])
                assert (types_L[:arrow] == 0).all()
                assert (types_L[arrow:] == 1).all()
            assert (example.aligned is None) == (not (text and visual))
    assert counts == {"TrueFalse": 80, "FalseTrue": 80, "TrueTrue": 160}


def test_special_tokens_are_never_predicted_and_targets_are_the_truth_of_their_modality() -> None:
    videos, words = numbered([4] * 6)
    source = data(videos, words, batch_size=48, mask_probability=0.4)
    for step in range(6):
        for example in source.examples(step):
            assert not set(example.targets_M.tolist()) & words.specials
            text_M = example.targets_M < words.text_size
            of_text = np.isin(example.parts_M, [Part.TEXT_ONLY, Part.JOINT_TEXT])
            assert (text_M == of_text).all()
            seen_M = example.ids_L[example.masked_M]
            foreign = (seen_M != MASK) & ((seen_M < words.text_size) != text_M)
            assert not foreign.any()


def test_nothing_is_predicted_on_misaligned_pairs_but_they_are_masked_alike() -> None:
    source = data(batch_size=64, mixture=Mixture(text_only=0, video_only=0), subsample_rates=(1,))
    shares: dict[bool, list[float]] = {True: [], False: []}
    for step in range(60):
        for example in source.examples(step):
            assert (len(example.masked_M) > 0) == example.aligned
            shares[bool(example.aligned)].append(float((example.ids_L == MASK).mean()))
    aligned, misaligned = (np.array(shares[label]) for label in (True, False))
    error = np.sqrt(aligned.var() / len(aligned) + misaligned.var() / len(misaligned))
    assert abs(aligned.mean() - misaligned.mean()) < 4 * error


def test_without_joint_cloze_pairs_are_seen_whole() -> None:
    source = data(batch_size=16, mixture=Mixture(text_only=0, video_only=0), joint_cloze=False)
    assert all(len(e.masked_M) == 0 and MASK not in e.ids_L for step in range(4) for e in source.examples(step))


def test_segments_without_text_train_on_video_only_and_all_of_them_do() -> None:
    videos, words = numbered([3] * 6, untexted=[(v, 1) for v in range(6)])
    untexted = {v * 3 + 1 for v in range(6)}
    source = data(videos, words, batch_size=16, joint_cloze=False)
    met = set[int]()
    for step in range(30):
        for example in source.examples(step):
            leaves = restored(example) - words.first_visual
            numbers = {int(leaf) for leaf in leaves if leaf >= 0}
            if numbers & untexted:
                assert example.aligned is None
                assert (example.types_L == 0).sum() == 1, "an untexted segment met a sentence"
                met |= numbers & untexted
    assert met == untexted


def test_a_corpus_without_captions_and_one_without_silence_both_train() -> None:
    videos, words = numbered([2, 1], untexted=[(0, 0), (0, 1), (1, 0)])
    assert len(data(videos, words, batch_size=8).examples(0)) == 8
    videos, words = numbered([2, 1])
    assert len(data(videos, words, batch_size=8).examples(0)) == 8
    with pytest.raises(InputError, match="no video has a segment"):
        data([], words)


def test_an_epoch_shows_every_sentence_once() -> None:
    videos, words = numbered([4] * 4)
    source = data(videos, words, batch_size=8, mixture=Mixture(text_only=1, video_only=0, video_text=0), epochs=3)
    assert source.steps == 6
    seen = [Counter(int(restored(e)[1]) for step in steps for e in source.examples(step)) for steps in ((0, 1), (2, 3))]
    assert seen[0] == seen[1] == Counter(range(FIRST_WORD, FIRST_WORD + 16))
    order = [[int(restored(e)[1]) for step in steps for e in source.examples(step)] for steps in ((0, 1), (2, 3))]
    assert order[0] != order[1]


def test_masks_change_from_epoch_to_epoch() -> None:
    videos, words = numbered([1], lengths=(12,))
    source = data(videos, words, batch_size=1, mixture=Mixture(text_only=1, video_only=0, video_text=0))
    assert len({tuple(source.examples(step)[0].masked_M) for step in range(20)}) > 5


@pytest.mark.parametrize("max_length", [8, 13, 20])
def test_long_sequences_are_cut_and_keep_both_modalities(max_length: int) -> None:
    videos, words = numbered([3] * 4, lengths=(3, 30))
    source = data(videos, words, max_length=max_length, batch_size=32, subsample_rates=(1,))
    for step in range(3):
        for example in source.examples(step):
            assert len(example.ids_L) <= max_length
            if example.aligned is not None:
                assert min((example.types_L == 0).sum(), (example.types_L == 1).sum()) >= 2


def test_text_and_video_of_a_segment_share_a_batch() -> None:
    videos, words = numbered([4] * 6)
    batch = collate(data(videos, words, batch_size=32).examples(0))
    assert len(batch.texts_R) == 8
    first_B, ids_T = batch.tokens.packing.first_B, batch.tokens.ids_T.clone()
    ids_T[batch.masked_M] = batch.targets_M
    for text, visual in zip(batch.texts_R, batch.videos_R, strict=True):
        word, leaf = ids_T[first_B[text] + 1], ids_T[first_B[visual] + 2]
        assert word - FIRST_WORD == leaf - words.first_visual


def test_packed_tokens_are_the_examples_without_padding() -> None:
    examples = data(batch_size=32).examples(0)
    batch = collate(examples)
    assert len(batch.tokens.ids_T) == sum(len(e.ids_L) for e in examples)
    assert len(batch.masked_M) == sum(len(e.masked_M) for e in examples)
    assert Counter(batch.targets_M.tolist()) == Counter(i for e in examples for i in e.targets_M.tolist())
    truth_T = batch.tokens.ids_T.clone()
    truth_T[batch.masked_M] = batch.targets_M
    edges = batch.tokens.packing.edges.tolist()
    rows = [truth_T[a:b].numpy().tobytes() for a, b in pairwise(edges)]
    assert Counter(rows) == Counter(restored(e).tobytes() for e in examples)


def test_a_small_corpus_is_passed_over_more_often() -> None:
    assert data(epochs=1.0, batch_size=32).steps < 50
    assert data(epochs=1.0, batch_size=32, least_steps=50).steps == 50
    assert data(epochs=1.0, batch_size=32, least_steps=50, steps=7).steps == 7
