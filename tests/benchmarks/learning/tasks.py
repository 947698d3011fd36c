"""Fine-tuned tasks on the kitchen's tokens: encoders side by side, at 1 %, 10 % and 100 % of the labels.

    python -m tests.benchmarks.learning.tasks [--tasks verb noun next ingredients family] [--seeds 0 1 2]

One model is pretrained for each seed, on other videos without labels. In parentheses: the way from majority to ceiling.
Continuous features are a fixed random vector for each visual token. One thread.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from tests.benchmarks.learning.baselines import Clips, MeanMlp, VideoTransformer, fit
from tests.benchmarks.learning.runs import small_config, small_world, trained
from tests.benchmarks.learning.world import World
from videobert.demo.labels import STEP_TASKS, VIDEO_TASKS
from videobert.demo.task_oracle import step_shares, video_shares
from videobert.demo.tokens import SampledVideo
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.measure import frozen_features
from videobert.finetune.train import finetune
from videobert.labels.records import LabelRow
from videobert.model.network import VideoBert
from videobert.tasks.base import Example, TaskNetwork
from videobert.tasks.classification import Classification

TASK = Classification()
WIDTH = 64
CONFIG = FinetuneConfig(reads="video", epochs=30, patience=6)
Splits = dict[str, list[Example]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["verb", "noun", "next", "ingredients", "family"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--videos", type=int, default=1_000, help="labelled ones; a quarter more to choose, as many to test"
    )
    parser.add_argument("--pairs", type=int, default=20_000, help="to pretrain on")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = small_world()
    found: defaultdict[tuple[str, float, str], list[float]] = defaultdict(list)
    for seed in options.seeds:
        videos = [v.video for v in world.videos(options.pairs, split="train")]
        model = trained(world, videos, small_config(seed=seed))
        for task in options.tasks:
            for share in options.shares:
                for name, value in rows(world, model, task, seed=seed, videos=options.videos, share=share).items():
                    found[task, share, name].append(value)
                    print(f"seed {seed} {task} {share:.0%} {name} {value:.3f}", flush=True)
    print_table(found)


def rows(world: World, model: VideoBert, task: str, *, seed: int, videos: int, share: float) -> dict[str, float]:
    """The metric of every encoder on the test videos."""
    steps = 7 * videos
    sampled = {
        "train": world.videos(steps, split="labelled")[: max(8, round(share * videos))],
        "validation": world.videos(steps, split="chosen")[: max(8, round(share * videos / 4))],
        "test": world.videos(steps, split="oracle")[:videos],
    }
    config = replace(CONFIG, seed=seed)
    labels = {split: _labels(found, task) for split, found in sampled.items()}
    facts = TASK.facts([row for _, _, row in labels["train"]], config)
    splits: Splits = {
        split: [e for e in (_example(video, span, row, facts) for video, span, row in found) if e.target is not None]
        for split, found in labels.items()
    }
    figures = {"majority": TASK.constant(_targets(splits["train"]), facts, len(splits["test"]))}
    figures["ceiling"] = _ceiling(world, sampled["test"], task, facts)
    features = {split: frozen_features(model, found) for split, found in splits.items()}
    figures["linear probe"] = TASK.probe(features, {s: _targets(e) for s, e in splits.items()}, facts, config)
    figures["mean MLP, scratch"] = _baseline(splits, facts, seed=seed, transformer=False)
    figures["VideoTransformer, scratch"] = _baseline(splits, facts, seed=seed, transformer=True)
    figures["VideoBERT, frozen"] = _tuned(model, splits, facts, replace(config, freeze="encoder"))
    figures["VideoBERT, fine-tuned"] = _tuned(model, splits, facts, replace(config, freeze="nothing"))
    test = _targets(splits["test"])
    return {name: _metric(outputs, test, facts) for name, outputs in figures.items()}


def _labels(videos: Sequence[SampledVideo], task: str) -> list[tuple[SampledVideo, tuple[int, int], LabelRow]]:
    found = []
    for sampled in videos:
        if task in VIDEO_TASKS:
            value = VIDEO_TASKS[task](sampled.recipe)
            assert isinstance(value, list)
            found.append((sampled, (0, len(sampled.video.visual)), LabelRow(video="", label=tuple(value))))
            continue
        for number, segment in enumerate(sampled.video.segments):
            if said := STEP_TASKS[task](sampled.recipe, number):
                found.append((sampled, (segment.first_clip, segment.last_clip), LabelRow(video="", label=(said,))))
    return found


def _example(sampled: SampledVideo, span: tuple[int, int], row: LabelRow, facts: dict[str, Any]) -> Example:
    target = TASK.target(row, facts, lambda text: ())
    return Example(video_id=sampled.video.video_id, footage=sampled.video.footage(*span), target=target)


def _targets(examples: Sequence[Example]) -> list[Any]:
    return [example.target for example in examples]


def _metric(outputs: Sequence[Any], targets: Sequence[Any], facts: dict[str, Any]) -> float:
    return next(iter(TASK.figures(outputs, targets, facts).values()))


def _ceiling(world: World, videos: list[SampledVideo], task: str, facts: dict[str, Any]) -> list[NDArray[np.float64]]:
    """The observer's answers, its classes in the order of the labels'; for rows with a label that training knows."""
    grammar, channel = world.grammar, world.channel
    if task in VIDEO_TASKS:
        from videobert.demo.labels import FAMILIES

        names = list(grammar.nouns) if task == "ingredients" else list(FAMILIES)
        shares_NC = video_shares(grammar, channel, videos, task=task)
        rows = [(shares, row) for shares, (_, _, row) in zip(shares_NC, _labels(videos, task), strict=True)]
    else:
        names = list(grammar.nouns if task == "noun" else grammar.verbs)
        shares_NC = step_shares(grammar, channel, videos, task=task)
        spans = {(id(v), s.first_clip): shares_NC[n] for n, (v, s) in enumerate(
            (v, s) for v in videos for s in v.video.segments)}  # fmt: skip
        rows = [(spans[id(v), span[0]], row) for v, span, row in _labels(videos, task)]
    columns = [names.index(label) for label in facts["labels"]]
    return [shares[columns] for shares, row in rows if TASK.target(row, facts, lambda text: ()) is not None]


def _tuned(model: VideoBert, splits: Splits, facts: dict[str, Any], config: FinetuneConfig) -> list[Any]:
    network = TASK.network(copy.deepcopy(model), facts, config)
    wanted = _targets(splits["validation"])

    def validate(tuned: TaskNetwork) -> dict[str, float]:
        figures = TASK.figures(tuned.outputs(splits["validation"]), wanted, facts)
        with torch.inference_mode():
            losses, weights = tuned.eval().losses(splits["validation"])
        tuned.train()
        return figures | {"loss": float((losses * weights).sum() / weights.sum())}

    finetune(network, splits["train"], validate, config)
    return network.outputs(splits["test"])


def _baseline(splits: Splits, facts: dict[str, Any], *, seed: int, transformer: bool) -> list[Any]:
    """As wide and as deep as the pretrained encoder."""
    table = np.random.default_rng(1).standard_normal((4096, WIDTH)).astype(np.float32)
    clips: dict[str, list[Clips]] = {
        split: [table[e.footage.leaves] for e in found if e.footage is not None] for split, found in splits.items()
    }
    classes = len(facts["labels"])
    several = facts["problem_type"] == "multi_label_classification"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network: nn.Module = (
            VideoTransformer(WIDTH, classes, hidden=96, layers=2, heads=4, longest=128)
            if transformer
            else MeanMlp(WIDTH, classes, hidden=256)
        )

    def outputs(split: str) -> list[Any]:
        with torch.inference_mode():
            logits = torch.cat([network(clips[split][i : i + 256]) for i in range(0, len(clips[split]), 256)])
        return list((logits.sigmoid() if several else logits.softmax(-1)).numpy())

    wanted = _targets(splits["validation"])
    fit(
        network, (clips["train"], np.stack(_targets(splits["train"]))),
        lambda _: _metric(outputs("validation"), wanted, facts),
        (lambda logits, own: F.binary_cross_entropy_with_logits(logits, own.float())) if several else F.cross_entropy,
        epochs=CONFIG.epochs, rate=1e-3, seed=seed,
    )  # fmt: skip
    return outputs("test")


def print_table(found: dict[tuple[str, float, str], list[float]]) -> None:
    """One line for each task and encoder: mean of the seeds at every share of the labels, and of the way."""
    shares = sorted({share for _, share, _ in found})
    tasks = list(dict.fromkeys(task for task, _, _ in found))
    names = list(dict.fromkeys(name for _, _, name in found))
    print(f"| task | encoder | {' | '.join(f'{share:.0%} of the labels' for share in shares)} |")
    print(f"|---|---|{'---|' * len(shares)}")
    for task in tasks:
        for name in names:
            cells = []
            for share in shares:
                value, low, high = (statistics.mean(found[task, share, who]) for who in (name, "majority", "ceiling"))
                way = (value - low) / (high - low)
                cells.append(f"{value:.3f} ({way:.0%})" if name not in ("majority", "ceiling") else f"{value:.3f}")
            print(f"| {task} | {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
