"""The gates: what a model of the kitchen must reach, and what says how much that is.

Every gate is a function of a seed that trains what it needs and returns rows; the table is made elsewhere.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from tests.benchmarks.learning.measure import (
    alignment_auc,
    nats_from_video,
    order_accuracy,
    retrieval,
    thinned,
    zero_shot_figures,
)
from tests.benchmarks.learning.runs import (
    design,
    design_config,
    small_config,
    small_world,
    trained,
)
from tests.benchmarks.learning.world import World, shuffled, stretches
from videobert.demo.oracle import Figures, bayes_ceiling, counting_model, language_prior
from videobert.demo.tokens import SampledVideo, TokenChannel
from videobert.model.network import VideoBert
from videobert.pretrain.config import LossWeights, PretrainConfig
from videobert.tokens.records import TokenizedVideo

__all__ = ["GATES", "Row", "choice_rows", "information_rows", "order_rows", "speed_rows"]

TEST_STEPS = 6_000
KINDS = {"verb@1": "verb_top1", "verb@5": "verb_top5", "noun@1": "noun_top1", "noun@5": "noun_top5"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of one seed."""

    gate: int
    figure: str
    found: float
    least: float = -math.inf
    most: float = math.inf
    versus: str = ""
    """Chance, prior, counting model, ceiling, or the model it is compared with."""

    @property
    def holds(self) -> bool:
        return self.least <= self.found <= self.most


@cache
def reference(pairs: int) -> tuple[Figures, Figures, Figures]:
    """(prior, counting model at `pairs`, ceiling) of the design world."""
    world = design()
    return (
        language_prior(world.kitchen),
        counting_model(world.kitchen, train_pairs=pairs, test_pairs=TEST_STEPS, channel=world.channel),
        bayes_ceiling(world.kitchen, channel=world.channel, pairs=20_000),
    )


@cache
def held_out() -> list[SampledVideo]:
    """Test steps of the design world, those of the counting model."""
    return design().videos(TEST_STEPS, split="oracle")


@cache
def design_model(pairs: int, seed: int) -> VideoBert:
    """A model of the design world, kept for the gates that share it."""
    videos = [v.video for v in design().videos(pairs, split="train")]
    return trained(design(), videos, design_config(pairs, seed=seed))


def zero_shot(pairs: int, seed: int) -> list[Row]:
    """Gate 1: far above the prior, near the counting model, not above the ceiling."""
    prior, counting, ceiling = reference(pairs)
    found = zero_shot_figures(design(), design_model(pairs, seed), held_out(), stretches(held_out()))
    rows = []
    for name, field in KINDS.items():
        low, near, high = (getattr(figures, field) for figures in (prior, counting, ceiling))
        sigma = math.sqrt(high * (1 - high) / TEST_STEPS)
        least = max(near - 0.02, low + 5 * math.sqrt(low * (1 - low) / TEST_STEPS))
        versus = f"prior {low:.3f}, counting {near:.3f}, ceiling {high:.3f}"
        rows.append(Row(gate=1, figure=name, found=found[name], least=least, most=high + 3 * sigma, versus=versus))
    model = design_model(pairs, seed)
    ranks = retrieval(model, held_out())
    told = {
        "R@1 of 100": (ranks["R@1"], 0.01, ceiling.retrieval_top1),
        "R@5 of 100": (ranks["R@5"], 0.05, ceiling.retrieval_top5),
    }
    told["alignment AUC"] = (alignment_auc(model, held_out()), 0.5, ceiling.alignment_auc)
    for name, (value, chance, best) in told.items():
        rows.append(Row(gate=1, figure=name, found=value, least=chance, versus=f"chance {chance}, ceiling {best:.3f}"))
    return rows


def information(pairs: int, seed: int) -> list[Row]:
    """Gate 2: the nats that video saves at a masked word are most of the mutual information, and no more."""
    _, _, ceiling = reference(pairs)
    truth = {"verb": ceiling.verb_information, "noun": ceiling.noun_information}
    return information_rows(design(), design_model(pairs, seed), held_out(), truth)


def information_rows(world: World, model: VideoBert, test: list[SampledVideo], truth: Mapping[str, float]) -> list[Row]:
    """Of one model, versus the nats that there are."""
    found = nats_from_video(world, model, test)
    return [
        Row(
            gate=2, figure=f"{kind}: share of the mutual information", found=found[kind] / truth[kind], least=0.8,
            most=1.0, versus=f"{found[kind]:.3f} of {truth[kind]:.3f} nats",
        )
        for kind in ("verb", "noun")
    ]  # fmt: skip


def permuted(pairs: int, seed: int) -> list[Row]:
    """Gate 3: without the tie between sentence and video, nothing remains of what was learnt."""
    world = small_world()
    test = world.videos(TEST_STEPS, split="oracle")
    videos = [v.video for v in world.videos(pairs, split="train")]
    tied = trained(world, videos, small_config(seed=seed))
    free = trained(world, shuffled(videos, seed=seed), small_config(seed=seed))
    rows = []
    own, strange = retrieval(tied, test), retrieval(tied, test, seed=seed)
    for name, chance in (("R@1", 0.01), ("R@5", 0.05)):
        most = chance + 4 * math.sqrt(chance / len(test))
        versus = f"chance {chance}, as they are {own[name]:.3f}"
        rows.append(
            Row(
                gate=3,
                figure=f"{name} of 100, videos shuffled in the test",
                found=strange[name],
                most=most,
                versus=versus,
            )
        )
    prior = language_prior(world.kitchen)
    nats = [nats_from_video(world, model, test) for model in (free, tied)]
    words = [zero_shot_figures(world, model, test, stretches(test)) for model in (free, tied)]
    for kind in ("verb", "noun"):
        low, name = getattr(prior, f"{kind}_top1"), f"{kind}@1"
        gained, known = (f"as they are {found[1][key]:.3f}" for found, key in ((nats, kind), (words, name)))
        figure = "videos shuffled in training"
        rows.append(Row(gate=3, figure=f"nats of the {kind}, {figure}", found=nats[0][kind], most=0.02, versus=gained))
        rows.append(
            Row(
                gate=3,
                figure=f"{name}, {figure}",
                found=words[0][name],
                most=low + 0.05,
                versus=f"prior {low:.3f}, {known}",
            )
        )
    return rows


def order(pairs: int, seed: int) -> list[Row]:
    """Gate 4: "A, then B" against "B, then A": known by positions and by nothing else."""
    world = small_world(honest=True)
    videos = [v.video for v in world.videos(pairs, split="train")]
    return order_rows(world, videos, world.videos(TEST_STEPS // 3, split="oracle"), small_config(seed=seed))


def order_rows(
    world: World, videos: Sequence[TokenizedVideo], test: list[SampledVideo], config: PretrainConfig
) -> list[Row]:
    """Of models trained on pairs of neighbouring steps, with and without positions; and on single steps, for gate 6."""
    single = dataclasses.replace(config, concatenate_probability=0.0)
    pairs = dataclasses.replace(config, concatenate_probability=1.0, concatenate_max=1)
    with_positions = order_accuracy(world, trained(world, videos, pairs), test)
    without = order_accuracy(world, trained(world, videos, pairs, positions=False), test)
    apart = order_accuracy(world, trained(world, videos, single), test)
    return [
        Row(gate=4, figure="order, with positions", found=with_positions, least=0.85, versus="chance .5"),
        Row(gate=4, figure="order, without positions", found=without, least=0.47, most=0.53, versus="chance .5"),
        Row(
            gate=6, figure="order of two steps, lost without concatenation", found=with_positions - apart, least=0.0,
            versus=f"{with_positions:.3f} with, {apart:.3f} without",
        ),
    ]  # fmt: skip


def scaling(pairs: int, seed: int) -> list[Row]:
    """Gate 5: more data, better words."""
    rows, below = [], {"verb@1": 0.0, "noun@1": 0.0}
    for size in (2_000, 6_000, 20_000, 60_000):
        if size > pairs:
            break
        _, counting, _ = reference(size)
        found = zero_shot_figures(design(), design_model(size, seed), held_out(), stretches(held_out()))
        for name, former in below.items():
            versus = f"counting {getattr(counting, KINDS[name]):.3f}"
            rows.append(Row(gate=5, figure=f"{name} at {size:,} pairs", found=found[name], least=former, versus=versus))
            below[name] = found[name]
    return rows


def choices(pairs: int, seed: int) -> list[Row]:
    """Gate 6: each choice of the paper removed; what it is there for must get worse."""
    world = small_world()
    videos = [v.video for v in world.videos(pairs, split="train")]
    test = world.videos(TEST_STEPS // 2, split="oracle")
    return choice_rows(world, videos, test, small_config(seed=seed)) + speeds(pairs, seed)


def choice_rows(
    world: World, videos: Sequence[TokenizedVideo], test: list[SampledVideo], config: PretrainConfig
) -> list[Row]:
    """Alignment, joint cloze and concatenation: one model with all of them, one without each."""
    whole = dataclasses.replace(
        config,
        steps=6_000,  # after 1,200 concatenation has not paid yet
        concatenate_probability=0.5,
        subsample_rates=(1, 2, 3, 4, 5),
        negative_fraction=0.5,
        weights=LossWeights(joint_text=2.0, alignment=1.0, retrieval=0.3),
    )
    removed = {
        "alignment": dataclasses.replace(whole, weights=dataclasses.replace(whole.weights, alignment=0.0)),
        "joint cloze": dataclasses.replace(whole, joint_cloze=False),
        "concatenation": dataclasses.replace(whole, concatenate_probability=0.0),
    }

    def figures(model: VideoBert) -> dict[str, float]:
        return {
            "alignment": alignment_auc(model, test),
            "joint cloze": zero_shot_figures(world, model, test, stretches(test))["verb@1"],
            "concatenation": alignment_auc(model, test, steps=3),
        }

    names = {"alignment": "AUC of single steps", "joint cloze": "verb@1", "concatenation": "AUC of three steps"}
    base = figures(trained(world, videos, whole))
    return [
        Row(
            gate=6, figure=f"{names[choice]}, lost without {choice}", least=0.0,
            found=base[choice] - (without := figures(trained(world, videos, config))[choice]),
            versus=f"{base[choice]:.3f} with, {without:.3f} without",
        )
        for choice, config in removed.items()
    ]  # fmt: skip


def speeds(pairs: int, seed: int) -> list[Row]:
    """Gate 6, subsampling: trained at one speed or at five, tested at one, two, three and five times the speed.

    Where the tokens of a step follow one another, as those of opening and closing do. Where they are drawn alike, a
    faster video is only a shorter one, and subsampling changes nothing that counts (.024 and -.004 at five times the
    speed, in two seeds).
    """
    world = small_world(channel=TokenChannel(noise=0.35, tokens_min=10, tokens_max=16, ordered=True))
    videos = [v.video for v in world.videos(pairs, split="train")]
    test = world.videos(TEST_STEPS // 2, split="oracle")
    return speed_rows(world, videos, test, small_config(seed=seed))


def speed_rows(
    world: World, videos: Sequence[TokenizedVideo], test: list[SampledVideo], config: PretrainConfig
) -> list[Row]:
    """Subsampling: one model with it, one without."""
    config = dataclasses.replace(config, steps=4_000)  # after 2,500 one seed in three has not learnt all five speeds
    found: list[list[float]] = []
    for rates in ((1, 2, 3, 4, 5), (1,)):
        model = trained(world, videos, dataclasses.replace(config, subsample_rates=rates))
        seen = [thinned(stretches(test), rate=rate) for rate in (1, 2, 3, 5)]
        found.append([zero_shot_figures(world, model, test, fast)["verb@1"] for fast in seen])
    with_it, without = (" ".join(f"{value:.3f}" for value in figures) for figures in found)
    return [
        Row(
            gate=6, figure="verb@1 at 5 x speed, lost without subsampling", found=found[0][-1] - found[1][-1],
            least=0.0, versus=f"at 1, 2, 3, 5 x: {with_it} with, {without} without",
        )
    ]  # fmt: skip


GATES: dict[int, Callable[[int, int], list[Row]]] = {
    1: zero_shot, 2: information, 3: permuted, 4: order, 5: scaling, 6: choices,
}  # fmt: skip
