"""Gates 2 to 6 from pixels: the demo's model on the tokens of kept kitchens, versus what it is without this or that.

    python -m tests.benchmarks.learning.kitchen --keep FOLDER
    python -m tests.benchmarks.learning --root FOLDER [--seed 0 1 2] [--gates 2 3 4 5 6]

Gate 2 is next to the nats of an eye that knows every action: no tokens hold more. Figures are of the held-out share.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.benchmarks.learning.gates import Row, choice_rows, information_rows, order_rows, speed_rows
from tests.benchmarks.learning.kitchen import recipe_of
from tests.benchmarks.learning.measure import nats_from_video, zero_shot_figures
from tests.benchmarks.learning.rendered import Rendered
from tests.benchmarks.learning.runs import trained
from tests.benchmarks.learning.world import shuffled, stretches
from videobert.demo.oracle import language_prior, sighted_information
from videobert.demo.tokens import SampledVideo
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.tokens.records import TokenizedVideo

__all__ = ["PIXEL_GATES"]

ORDERED_PAIRS = 3_000
SHARES = {"a quarter": 4, "a half": 2, "all": 1}


@cache
def world(root: Path) -> tuple[Rendered, list[TokenizedVideo], list[SampledVideo], PretrainConfig]:
    """One seed's kitchen with its training and held-out videos, and the demo's recipe for it."""
    kitchen = Rendered.below(root)
    return kitchen, kitchen.training(), kitchen.held_out(), recipe_of(kitchen.kitchen.seed).pretrain


@cache
def whole_model(root: Path) -> VideoBert:
    """Trained on all videos, kept for the gates that share it."""
    kitchen, videos, _, config = world(root)
    return trained(kitchen, videos, config)


def information(root: Path) -> list[Row]:
    """Gate 2: the nats that video saves at a masked word are most of what an eye that knows every action would save."""
    kitchen, _, test, _ = world(root)
    return information_rows(kitchen, whole_model(root), test, sighted_information(kitchen.kitchen, test))


def permuted(root: Path) -> list[Row]:
    """Gate 3: trained on sentences over the clips of others, nothing remains."""
    kitchen, videos, test, config = world(root)
    narrated = [
        dataclasses.replace(v, segments=own) for v in videos if (own := tuple(s for s in v.segments if s.text_ids))
    ]
    free = trained(kitchen, shuffled(narrated, seed=kitchen.kitchen.seed), config)
    prior, seen = language_prior(kitchen.kitchen), stretches(test)
    nats = [nats_from_video(kitchen, model, test) for model in (free, whole_model(root))]
    words = [zero_shot_figures(kitchen, model, test, seen) for model in (free, whole_model(root))]
    rows = []
    for kind in ("verb", "noun"):
        low, name, figure = getattr(prior, f"{kind}_top1"), f"{kind}@1", "videos shuffled in training"
        most = low + 4 * math.sqrt(low * (1 - low) / len(seen))
        versus = f"as they are {nats[1][kind]:.3f}"
        rows.append(Row(gate=3, figure=f"nats of the {kind}, {figure}", found=nats[0][kind], most=0.02, versus=versus))
        versus = f"prior {low:.3f}, as they are {words[1][name]:.3f}"
        rows.append(Row(gate=3, figure=f"{name}, {figure}", found=words[0][name], most=most, versus=versus))
    return rows


def order(root: Path) -> list[Row]:
    """Gate 4: "A, then B" against "B, then A": known by positions and by nothing else."""
    return order_rows(*world(root))


def scaling(root: Path) -> list[Row]:
    """Gate 5: more videos, better words."""
    kitchen, videos, test, config = world(root)
    rows, below = [], {"verb@1": 0.0, "noun@1": 0.0}
    for name, part in SHARES.items():
        model = whole_model(root) if part == 1 else trained(kitchen, videos[::part], config)
        found = zero_shot_figures(kitchen, model, test, stretches(test))
        for kind, former in below.items():
            versus = f"{len(videos[::part])} videos"
            rows.append(Row(gate=5, figure=f"{kind} of {name}", found=found[kind], least=former, versus=versus))
            below[kind] = found[kind]
    return rows


def choices(root: Path) -> list[Row]:
    """Gate 6: each choice of the paper removed; what it is there for must get worse.

    Without dropout, as at token level: it blurs the evidence of three steps, so that concatenation gains nothing.
    Subsampling is judged on steps that go on, as at token level: where a motion repeats itself within a clip, one clip
    tells the verb, and a faster video is only a shorter one (-.008 of verb@1 at five times the speed, three seeds).
    """
    kitchen, videos, test, config = world(root)
    sharp = dataclasses.replace(config, architecture=dataclasses.replace(config.architecture, dropout=0.0))
    moving, unseen = (kitchen.in_order(ORDERED_PAIRS, held_out=held_out) for held_out in (False, True))
    in_order = speed_rows(kitchen, [v.video for v in moving], unseen, sharp)
    return choice_rows(kitchen, videos, test, sharp) + in_order


PIXEL_GATES: dict[int, Callable[[Path], list[Row]]] = {
    2: information, 3: permuted, 4: order, 5: scaling, 6: choices,
}  # fmt: skip
