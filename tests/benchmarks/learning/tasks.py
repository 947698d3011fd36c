"""Fine-tuned tasks on the kitchen's tokens: encoders side by side, at 1 %, 10 % and 100 % of the labels.

    python -m tests.benchmarks.learning.tasks [--tasks verb ...] [--seeds 0 1 2] [--encoders ...] [--out rows.jsonl]
    python -m tests.benchmarks.learning.tasks --read rows.jsonl

One model is pretrained for each seed, on other videos without labels, and a second one with the residuals of its clips
where `--encoders` has `continuous`. In parentheses: the way from majority to ceiling, and the extent over the seeds, or
for one seed the 95 % interval over videos. The second form prints the table of rows written before.

One thread. A model is pretrained in some 100 s of one core. With `baselines probe frozen fine-tuned text` and 200 steps
(`--steps`), 10 % of the labels take 24 s for `verb` and 84 s for `family`, as every task that reads whole videos; all
labels of `verb` take 59 s, as two passes over them are more steps. Each row says its seconds. Nobody sees the intervals
of several seeds: `--draws 0` leaves them out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.learning.runs import small_config, small_world
from tests.benchmarks.learning.task_data import COMPONENTS, TASKS, TaskData, observers, task_data, with_residuals
from tests.benchmarks.learning.task_encoders import ENCODERS, Models, outputs_of
from tests.benchmarks.learning.world import World
from videobert.finetune.config import CaptionOptions, FinetuneConfig
from videobert.model.network import VideoBert
from videobert.pretrain.train import train
from videobert.tasks.metrics import bootstrap

CONFIG = FinetuneConfig(reads="video", patience=0, captions=CaptionOptions(layers=1, longest=12, beams=2))
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
    parser.add_argument("--steps", type=int, default=200, help="of the optimiser: passes over many labels are fewer")
    parser.add_argument("--draws", type=int, default=100, help="of videos behind an interval")
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
        said = f"seed {row['seed']} {row['task']} {row['share']:.0%} {row['encoder']} {row['value']:.3f}"
        print(f"{said}, {row['seconds']} s", flush=True)
        if options.out:
            with options.out.open("a") as sink:
                sink.write(json.dumps(row) + "\n")
    print_table(found)


def measured(options: argparse.Namespace) -> Iterator[Row]:
    world = small_world()
    for seed in options.seeds:
        models = pretrained(world, options, seed)
        steps = 7 * options.videos
        whole = {split: with_residuals(world, world.videos(steps, split=name)) for split, name in
                 {"train": "labelled", "validation": "chosen", "test": "oracle"}.items()}  # fmt: skip
        for task in options.tasks:
            test = whole["test"][: options.tested]
            observed = observers(world, task, test)
            for share in options.shares:
                videos = {
                    "train": whole["train"][: max(8, round(share * options.videos))],
                    "validation": whole["validation"][: max(8, round(share * options.videos / 4))],
                    "test": test,
                }
                data = task_data(world, task, videos, CONFIG, observed)
                tuned = schedule(replace(CONFIG, seed=seed), len(data.splits["train"]), steps=options.steps)
                started = time.process_time()
                for name, outputs in outputs_of(data, models, tuned, encoders=options.encoders):
                    row = {"seed": seed, "task": task, "share": share, "encoder": name}
                    row |= figure(data, outputs, draws=options.draws)
                    yield row | {"seconds": round(time.process_time() - started, 1)}
                    started = time.process_time()


def pretrained(world: World, options: argparse.Namespace, seed: int) -> Models:
    """The models of a seed, on videos without labels."""
    config = small_config(seed=seed)
    videos = [v.video for v in with_residuals(world, world.videos(options.pairs, split="train"))]
    started = time.process_time()

    def create(components: int = 0) -> VideoBert:
        centroids_NF = world.centroids_NF
        return VideoBert.create(config, vocabulary=world.words, centroids_NF=centroids_NF, components=components)

    fresh, tokens = create(), create()
    train(tokens, videos, config)
    continuous = create(COMPONENTS) if "continuous" in options.encoders else None
    if continuous is not None:
        train(continuous, videos, config)
    print(f"seed {seed}: pretrained in {time.process_time() - started:.0f} s", flush=True)
    return Models(fresh=fresh, pretrained=tokens, continuous=continuous)


def schedule(config: FinetuneConfig, count: int, *, steps: int) -> FinetuneConfig:
    """As many epochs as the steps allow, 2 to 60; the encoder moves slowly."""
    epochs = min(60, max(2, steps * config.batch_size // count))
    return replace(config, epochs=epochs, encoder_rate=0.1)


def figure(data: TaskData, outputs: Sequence[Any], *, draws: int) -> dict[str, Any]:
    """The first metric of the task, with its interval over videos; null without draws."""
    measure = data.kind.measure(outputs, data.targets("test"), data.facts)
    name, value = next(iter(measure(range(len(outputs))).items()))
    groups = [e.video_id for e in data.splits["test"]]
    return {"metric": name, "value": value, "interval": bootstrap(measure, groups, draws=draws, seed=0).get(name)}


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
                extent = (min(values), max(values)) if len(values) > 1 else intervals[task, share, name]
                notes = [] if name in ("majority", "ceiling") else [f"{(value - low) / (high - low):.0%}"]
                notes += [f"{extent[0]:.3f} to {extent[1]:.3f}"] if extent else []
                cells.append(f"{value:.3f} ({', '.join(notes)})")
            print(f"| {task}, {metric} | {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
