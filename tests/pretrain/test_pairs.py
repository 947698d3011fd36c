import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.material import FIRST_WORD, numbered
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.config import Mixture, PretrainConfig
from videobert.pretrain.data import Example, PretrainData
from videobert.pretrain.pairs import SegmentIndex, Span, subsample
from videobert.tokens.records import TokenizedVideo

PAIRS = Mixture(text_only=0, video_only=0, video_text=1)


def pairs(
    videos: list[TokenizedVideo], vocabulary: Vocabulary, *, steps: int = 4, batch: int = 32, **options: Any
) -> tuple[PretrainData, list[Example]]:
    config = PretrainConfig(mixture=PAIRS, joint_cloze=False, batch_size=batch, **options)
    data = PretrainData(videos, vocabulary=vocabulary, config=config, max_length=512)
    return data, [example for step in range(steps) for example in data.examples(step)]


def segments_of(example: Example, vocabulary: Vocabulary) -> tuple[list[int], list[int]]:
    """Numbers of the segments whose words and whose leaves are in a pair, in order of appearance."""
    ids_L = example.ids_L
    words = ids_L[(ids_L >= FIRST_WORD) & (ids_L < vocabulary.text_size)] - FIRST_WORD
    leaves = ids_L[ids_L >= vocabulary.first_visual] - vocabulary.first_visual
    return list(dict.fromkeys(words.tolist())), list(dict.fromkeys(leaves.tolist()))


sizes_of_videos = st.lists(st.integers(1, 6), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(sizes=sizes_of_videos, negatives=st.sampled_from(["same", "other", "mixed"]), seed=st.integers(0, 99))
def test_a_pair_is_aligned_exactly_when_text_and_video_are_the_same_segments(
    sizes: list[int], negatives: str, seed: int
) -> None:
    videos, vocabulary = numbered(sizes)
    _, examples = pairs(videos, vocabulary, negatives=negatives, seed=seed, batch=16, steps=2)
    for example in examples:
        words, leaves = segments_of(example, vocabulary)
        assert example.aligned == (words == leaves)
        if not example.aligned:
            assert not set(words) & set(leaves)


@settings(max_examples=40, deadline=None)
@given(sizes=sizes_of_videos, seed=st.integers(0, 99))
def test_neighbours_are_of_one_video_and_in_order(sizes: list[int], seed: int) -> None:
    videos, vocabulary = numbered(sizes)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    _, examples = pairs(videos, vocabulary, concatenate_probability=1.0, seed=seed, batch=16, steps=2)
    for example in examples:
        for side in segments_of(example, vocabulary):
            assert len({int(owner[number]) for number in side}) == 1
            assert side == list(range(side[0], side[-1] + 1))
            assert len(side) <= 3


def test_neighbours_are_taken_in_on_both_sides() -> None:
    videos, vocabulary = numbered([5])
    index = SegmentIndex(videos, vocabulary)
    spans = {index.around(2, extra=1, rng=np.random.default_rng(seed))[1:] for seed in range(40)}
    assert spans == {(1, 3), (2, 4)}


def test_an_untexted_segment_ends_a_run_of_neighbours() -> None:
    videos, vocabulary = numbered([5], untexted=[(0, 2)])
    index = SegmentIndex(videos, vocabulary)
    for anchor in range(index.captioned):
        for seed in range(20):
            span = index.around(anchor, extra=4, rng=np.random.default_rng(seed))
            assert span[1:] in {(0, 2), (3, 5)}


@pytest.mark.parametrize("sizes", [[1], [2], [1, 1], [1, 2]])
@pytest.mark.parametrize("negatives", ["same", "other", "mixed"])
def test_videos_of_one_and_two_segments_give_pairs(sizes: list[int], negatives: str) -> None:
    videos, vocabulary = numbered(sizes)
    _, examples = pairs(videos, vocabulary, negatives=negatives, concatenate_probability=1.0, negative_fraction=1.0)
    if sizes == [1]:
        assert all(example.aligned for example in examples)  # there is no other segment to be misaligned with
    else:
        assert any(not example.aligned for example in examples)


def test_negatives_come_from_where_the_config_says() -> None:
    videos, vocabulary = numbered([4] * 6)
    options: dict[str, Any] = {"negative_fraction": 1.0, "concatenate_probability": 0.0, "steps": 10}
    for negatives, low, high in (("same", 1.0, 1.0), ("other", 0.0, 0.0), ("mixed", 0.4, 0.6)):
        _, examples = pairs(videos, vocabulary, negatives=negatives, **options)
        sides = [segments_of(example, vocabulary) for example in examples]
        share = np.mean([words[0] // 4 == leaves[0] // 4 for words, leaves in sides])
        assert low <= share <= high


def test_sentences_over_the_same_clip_are_no_negatives_of_each_other() -> None:
    videos, vocabulary = numbered([4], lengths=(2,))
    shared = dataclasses.replace(videos[0].segments[1], first_clip=0, last_clip=2)
    film = dataclasses.replace(videos[0], segments=(videos[0].segments[0], shared, *videos[0].segments[2:]))
    index = SegmentIndex([film], vocabulary)
    for seed in range(40):
        found = index.misaligned(Span(0, 0, 1), negatives="same", rng=np.random.default_rng(seed))
        assert found is not None and found.first >= 2


def test_half_of_the_pairs_are_misaligned() -> None:
    videos, vocabulary = numbered([4] * 6)
    _, examples = pairs(videos, vocabulary, steps=40)
    assert abs(sum(bool(example.aligned) for example in examples) / len(examples) - 0.5) < 3 * 0.5 / np.sqrt(
        len(examples)
    )


@pytest.mark.parametrize("negatives", ["other", "mixed"])
def test_lengths_do_not_give_the_label_away(negatives: str) -> None:
    # Long sentences go with many clips, so a careless negative differs from a pair in its lengths alone.
    videos, vocabulary = numbered([6] * 60, lengths=range(1, 11))
    _, examples = pairs(videos, vocabulary, negatives=negatives, steps=300)
    rows = [(int((e.types_L == 0).sum()), int((e.types_L == 1).sum()), bool(e.aligned)) for e in examples]
    half = len(rows) // 2
    seen: dict[tuple[int, int], list[bool]] = {}
    for text, visual, label in rows[:half]:
        seen.setdefault((text, visual), []).append(label)
    rate = {cell: np.mean(labels) for cell, labels in seen.items()}
    scores = np.array([rate.get((text, visual), 0.5) for text, visual, _ in rows[half:]])
    labels = np.array([label for *_, label in rows[half:]])
    above = (scores[labels][:, None] > scores[~labels]).mean() + (scores[labels][:, None] == scores[~labels]).mean() / 2
    assert abs(above - 0.5) < 0.08


@given(length=st.integers(1, 40), rate=st.integers(1, 5), seed=st.integers(0, 99))
def test_subsampling_takes_every_rth_token_and_never_all_away(length: int, rate: int, seed: int) -> None:
    ids_N = np.arange(length)
    kept = subsample(ids_N, rates=(rate,), rng=np.random.default_rng(seed))
    assert len(kept) >= 1
    assert (np.diff(kept) == min(rate, length)).all()
    assert kept[0] < min(rate, length)
    assert len(kept) in {length // min(rate, length), -(-length // min(rate, length))}


def test_every_rate_is_drawn() -> None:
    lengths = {len(subsample(np.arange(60), rates=(1, 2, 3, 4, 5), rng=np.random.default_rng(s))) for s in range(60)}
    assert lengths == {60, 30, 20, 15, 12}
