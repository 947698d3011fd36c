"""Fine-tuned tasks on the kitchen's tokens: encoders side by side, at 1 %, 10 % and 100 % of the labels.

    python -m tests.benchmarks.learning.tasks [--tasks verb ...] [--seeds 0 1 2] [--encoders ...] [--out rows.jsonl]
    python -m tests.benchmarks.learning.tasks --read rows.jsonl

One model is pretrained for each seed, on other videos without labels. In parentheses: the way from majority to ceiling,
and, for one seed, the 95 % interval over videos. One thread. The second form prints the table of rows written before.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.learning.runs import small_config, small_world, trained
from tests.benchmarks.learning.task_data import TASKS, task_data
from tests.benchmarks.learning.task_encoders import ENCODERS, outputs_of
from videobert.finetune.config import CaptionOptions, FinetuneConfig
from videobert.model.network import VideoBert
from videobert.tasks.metrics import bootstrap

CONFIG = FinetuneConfig(reads="video", patience=0, captions=CaptionOptions(layers=1, longest=12, beams=2))
STEPS = 600
"""Of the optimiser, more or less: passes over many labels are fewer."""
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), choices=ENCODERS)
    parser.add_argument("--videos", type=int, default=1_000, help="labelled ones; a quarter more to choose")
    parser.add_argument("--tested", type=int, default=500, help="videos to test on")
    parser.add_argument("--pairs", type=int, default=20_000, help="to pretrain on")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path, nargs="+")
    options = parser.parse_args()
    if options.read:
        print_table([json.loads(line) for path in options.read for line in path.read_text().splitlines()])
        return
    torch.set_num_threads(1)
    found = []
    for row in measured(options):
        found.append(row)
        print(f"seed {row['seed']} {row['task']} {row['share']:.0%} {row['encoder']} {row['value']:.3f}", flush=True)
        if options.out:
            with options.out.open("a") as sink:
                sink.write(json.dumps(row) + "\n")
    print_table(found)


def measured(options: argparse.Namespace) -> Iterator[Row]:
    world = small_world()
    for seed in options.seeds:
        config = small_config(seed=seed)
        fresh = VideoBert.create(config, vocabulary=world.words, centroids_NF=world.centroids_NF)
        model = trained(world, [v.video for v in world.videos(options.pairs, split="train")], config)
        steps = 7 * options.videos
        whole = {split: world.videos(steps, split=name) for split, name in
                 {"train": "labelled", "validation": "chosen", "test": "oracle"}.items()}  # fmt: skip
        for task in options.tasks:
            for share in options.shares:
                videos = {
                    "train": whole["train"][: max(8, round(share * options.videos))],
                    "validation": whole["validation"][: max(8, round(share * options.videos / 4))],
                    "test": whole["test"][: options.tested],
                }
                data = task_data(world, task, videos, CONFIG)
                tuned = schedule(replace(CONFIG, seed=seed), len(data.splits["train"]))
                groups = [e.video_id for e in data.splits["test"]]
                outputs = outputs_of(data, model, fresh, tuned, encoders=tuple(options.encoders))
                for name, given in outputs.items():
                    yield {"seed": seed, "task": task, "share": share, "encoder": name, **figure(data, given, groups)}


def schedule(config: FinetuneConfig, count: int) -> FinetuneConfig:
    """As many epochs as `STEPS` allow, 4 to 60; the encoder moves slowly."""
    epochs = min(60, max(4, STEPS * config.batch_size // count))
    return replace(config, epochs=epochs, encoder_rate=0.1)


def figure(data: Any, outputs: Sequence[Any], groups: Sequence[str]) -> dict[str, Any]:
    """The first metric of the task, with its interval over videos."""
    targets = data.targets("test")

    def measure(chosen: Sequence[int]) -> dict[str, float]:
        found = data.kind.figures([outputs[i] for i in chosen], [targets[i] for i in chosen], data.facts)
        name, value = next(iter(found.items()))
        return {name: value}

    ((name, value),) = measure(range(len(outputs))).items()
    return {"metric": name, "value": value, "interval": bootstrap(measure, groups, draws=100, seed=0)[name]}


def print_table(rows: Sequence[Row]) -> None:
    """One line for each task and encoder: mean of the seeds at every share of the labels, and of the way."""
    found: defaultdict[tuple[str, float, str], list[float]] = defaultdict(list)
    intervals, metrics = {}, {}
    for row in rows:
        key = row["task"], row["share"], row["encoder"]
        found[key].append(row["value"])
        intervals[key], metrics[row["task"]] = row["interval"], row["metric"]
    shares = sorted({share for _, share, _ in found})
    print(f"| task | encoder | {' | '.join(f'{share:.0%} of the labels' for share in shares)} |")
    print(f"|---|---|{'---|' * len(shares)}")
    for task, metric in metrics.items():
        for name in dict.fromkeys(who for of, _, who in found if of == task):
            cells = []
            for share in shares:
                values = found[task, share, name]
                if not values:
                    cells.append("")
                    continue
                value, low, high = (statistics.mean(found[task, share, who]) for who in (name, "majority", "ceiling"))
                extent = min(values), max(values)
                low_high = extent if len(values) > 1 else intervals[task, share, name]
                way = "" if name in ("majority", "ceiling") else f"{(value - low) / (high - low):.0%}, "
                cells.append(f"{value:.3f} ({way}{low_high[0]:.3f} to {low_high[1]:.3f})")
            print(f"| {task}, {metric} | {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
