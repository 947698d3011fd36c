import itertools

import numpy as np
import pytest

from videobert.demo.grammar import KitchenConfig, build_kitchen
from videobert.demo.tokens import TokenChannel, emission, sample_pairs, sample_video, vocabulary
from videobert.errors import InputError


@pytest.mark.parametrize("ordered", [False, True])
def test_tokens_follow_the_emission_table(ordered: bool) -> None:
    config, channel = KitchenConfig(), TokenChannel(tokens_min=2, ordered=ordered)
    table = emission(config, channel)
    np.testing.assert_allclose(table.sum(-1), 1)
    counts = np.zeros_like(table)
    for sampled in sample_pairs(config, 4000, split="test", channel=channel):
        for step, segment in zip(sampled.recipe.steps, sampled.video.segments, strict=True):
            tokens = sampled.video.visual[segment.first_clip : segment.last_clip]
            for number, token in enumerate(tokens):
                counts[step.action, number * channel.phases // len(tokens), token] += 1
    totals = counts.sum(-1, keepdims=True)
    chi_square = ((counts - totals * table) ** 2 / (totals * table)).sum()
    degrees = table.size - table.shape[0] * table.shape[1]
    assert chi_square == pytest.approx(degrees, abs=6 * (2 * degrees) ** 0.5)


def test_only_order_tells_the_actions_of_a_pair_apart() -> None:
    table = emission(KitchenConfig(), TokenChannel(ordered=True))
    forwards, backwards = table[::2], table[1::2]
    assert (forwards == backwards[:, ::-1]).all() and (forwards[:, 0] != forwards[:, 1]).any(-1).all()
    shares = table.mean(1)
    assert len(np.unique(shares, axis=0)) == len(shares) / 2


def test_segments_tile_the_video_and_carry_the_sentences() -> None:
    sampled = sample_video(KitchenConfig(), "one")
    segments = sampled.video.segments
    assert [s.text for s in segments] == [s.caption for s in sampled.recipe.steps]
    assert segments[0].first_clip == 0 and segments[-1].last_clip == len(sampled.video.visual)
    assert all(a.last_clip == b.first_clip for a, b in itertools.pairwise(segments))
    assert all(3 <= s.last_clip - s.first_clip <= 8 for s in segments)


def test_the_recipe_is_that_of_the_rendered_video() -> None:
    config = KitchenConfig(seed=9)
    assert sample_video(config, "2026-01-01/kitchen-00003").recipe == build_kitchen(config).recipe(
        "2026-01-01/kitchen-00003"
    )


def test_sampling_repeats_and_splits_differ() -> None:
    config = KitchenConfig()
    first, again = (list(sample_pairs(config, 50, split="train")) for _ in range(2))
    other = list(sample_pairs(config, 50, split="test"))
    assert [v.video.visual.tobytes() for v in first] == [v.video.visual.tobytes() for v in again]
    assert [v.recipe for v in first] != [v.recipe for v in other]
    assert sum(len(v.recipe.steps) for v in first) >= 50
    assert len({v.video.video_id for v in first + other}) == len(first) + len(other)


def test_the_vocabulary_holds_every_word_that_is_said() -> None:
    config = KitchenConfig(verbs=4, nouns=5, actions=12)
    words = vocabulary(config)
    said = {word for v in sample_pairs(config, 600, split="train") for s in v.video.segments for word in s.text.split()}
    assert said <= set(words)
    assert {"chop", "tomato"} <= set(words) and "toss" not in words
    assert list(words) == sorted(set(words))


@pytest.mark.parametrize("wrong", [{"noise": 1.5}, {"ids_per_action": 0}, {"tokens_min": 9}])
def test_an_impossible_channel_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        TokenChannel(**wrong)  # type: ignore[arg-type]
