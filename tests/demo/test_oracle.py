import numpy as np
import pytest

from videobert.demo.grammar import KitchenConfig, build_kitchen
from videobert.demo.oracle import bayes_ceiling, counting_model, language_prior, rank_auc
from videobert.demo.tokens import TokenChannel
from videobert.errors import InputError

pytestmark = pytest.mark.slow


def test_the_documented_design_has_the_documented_ceilings() -> None:
    """Figures of the house plan, of another draw of the world: which words are popular differs, the channel does not.

    Not compared: retrieval (.970 there, for an unstated scoring; ours finds more) and the counting model (.841 there,
    ours is naive Bayes with a prior and reaches .90).
    """
    found = bayes_ceiling(KitchenConfig())
    assert found.verb_top1 == pytest.approx(0.944, abs=0.015)
    assert found.noun_top1 == pytest.approx(0.937, abs=0.015)
    assert found.verb_top5 == pytest.approx(0.988, abs=0.006)
    assert found.noun_top5 == pytest.approx(0.984, abs=0.006)
    assert found.next_top1 == pytest.approx(0.286, abs=0.02)
    assert found.next_top5 == pytest.approx(0.637, abs=0.02)
    assert found.alignment_auc == pytest.approx(0.893, abs=0.01)
    assert found.verb_information == pytest.approx(1.02, abs=0.06)
    assert found.noun_information == pytest.approx(1.45, abs=0.06)
    assert found.retrieval_top1 > 0.96 and found.retrieval_top5 >= found.retrieval_top1


def test_language_priors_scatter_around_the_documented_ones() -> None:
    priors = [language_prior(KitchenConfig(seed=seed)) for seed in range(40)]
    for name, documented in (("verb_top1", 0.127), ("verb_top5", 0.573), ("noun_top1", 0.089), ("noun_top5", 0.325)):
        drawn = [getattr(p, name) for p in priors]
        assert min(drawn) <= documented <= max(drawn), name


def test_a_clean_channel_is_solved_and_a_noisy_one_falls_to_the_prior() -> None:
    config = KitchenConfig(narration_current=1.0, narration_neighbour=0.0)
    clean = bayes_ceiling(config, channel=TokenChannel(noise=0.0), pairs=6000)
    assert clean.verb_top1 == clean.noun_top1 == 1.0
    kitchen = build_kitchen(config)
    verb = np.bincount(kitchen.actions_A2[:, 0], weights=kitchen.stationary_A)
    assert clean.verb_information == pytest.approx(-(verb * np.log(verb)).sum(), abs=0.03)
    blind = bayes_ceiling(config, channel=TokenChannel(noise=1.0), pairs=6000)
    prior = language_prior(config)
    assert blind.verb_top1 == pytest.approx(prior.verb_top1, abs=0.03)
    assert blind.next_top5 == pytest.approx(prior.next_top5, abs=0.03)
    assert blind.alignment_auc == pytest.approx(0.5, abs=0.02)
    assert blind.verb_information == pytest.approx(0, abs=1e-9)
    assert blind.retrieval_top1 < 0.05


def test_order_within_a_step_is_part_of_the_oracle() -> None:
    config = KitchenConfig(narration_current=1.0, narration_neighbour=0.0)
    channel = TokenChannel(noise=0.0, tokens_min=2, ordered=True)
    assert bayes_ceiling(config, channel=channel, pairs=6000).verb_top1 == 1.0
    assert counting_model(config, train_pairs=6000, test_pairs=6000, channel=channel).verb_top1 > 0.95
    single = TokenChannel(noise=0.0, tokens_min=1, tokens_max=1, ordered=True)  # the first phase is all that is seen
    assert bayes_ceiling(config, channel=single, pairs=6000).verb_top1 == 1.0


def test_counting_learns_with_data_and_stays_below_the_ceiling() -> None:
    config = KitchenConfig()
    few, many = (counting_model(config, train_pairs=n, test_pairs=6000) for n in (1000, 8000))
    ceiling = bayes_ceiling(config, pairs=6000)
    assert language_prior(config).verb_top1 + 0.3 < few.verb_top1 < many.verb_top1 < ceiling.verb_top1
    assert few.noun_top1 < many.noun_top1 < ceiling.noun_top1


def test_auc_counts_ties_as_half() -> None:
    assert rank_auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == pytest.approx((0.5 + 1 + 1 + 1) / 4)


def test_a_corpus_without_neighbours_has_no_oracle() -> None:
    with pytest.raises(InputError, match="steps_min"):
        bayes_ceiling(KitchenConfig(steps_min=1), pairs=1000)
