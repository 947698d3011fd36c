"""Fine-tuned tasks from pixels: the stage on a kept kitchen's labels and the demo's model, versus controls and an eye.

    python -m tests.benchmarks.learning.kitchen --keep FOLDER
    python -m tests.benchmarks.learning.pixel_tasks FOLDER/SEED ... [--tasks verb noun ...]

Tested on the videos that pretraining held out. The way is that from the control to the ceiling. The control answers as
is common. The ceiling is an eye that sees every action for what it is; of what comes `next`, one that knows the grammar
besides. So a ceiling of 1 asks for what no clip shows where an action looks like another one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.learning.footage_tasks import split
from tests.benchmarks.learning.kitchen import recipe_of, true_steps
from videobert.demo.grammar import build_kitchen, demo_kitchen
from videobert.finetune.config import AugmentOptions, CaptionOptions, FinetuneConfig
from videobert.flow import run_stage
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.storage import Store

TASKS = ("verb", "noun", "next", "ingredients", "family", "steps", "questions", "captions")
KINDS = {"questions": "open-questions", "captions": "captions"}
CONFIG = FinetuneConfig(
    reads="video", freeze="nothing", encoder_rate=0.3, epochs=60, patience=10, bootstrap_draws=100,
    captions=CaptionOptions(layers=1, longest=16, beams=2),
)  # fmt: skip
ON_WORDS: Mapping[str, Any] = {"spans": "segments", "pool": "words"}
OPTIONS: Mapping[str, dict[str, Any]] = {
    "next": {"head_epochs": 5, "weight_decay": 0.1, "augment": AugmentOptions(drop_clips=0.3, mixup=0.4)},
    "questions": {**ON_WORDS, "reads": "both"},  # the question is the text
    "family": {**ON_WORDS, "patience": 20},
    **{
        name: {**ON_WORDS, "epochs": 120, "patience": 40, "augment": AugmentOptions(drop_clips=0.3)}
        for name in ("ingredients", "steps")
    },
}
"""What a task has of its own, chosen on the kitchen of seed 1."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", type=Path, nargs="+")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| task | seed | figure | control | fine-tuned | ceiling | way | linear probe | on words |")
    print(f"|{'---|' * 9}")
    for root in options.roots:
        for task in options.tasks:
            figures = tuned(root, task)
            name = "bleu_4" if task == "captions" else next(iter(figures["fine-tuned"]))
            low, found = (figures[who][name]["value"] for who in ("majority", "fine-tuned"))
            high = ceiling(root, task)
            way = (found - low) / (high - low) if high > low else np.nan
            cells = [task, root.name, name, f"{low:.3f}", f"{found:.3f}", f"{high:.3f}", f"{way:.0%}"]
            probes = "nearest caption" if task == "captions" else "linear probe", "linear probe on words"
            cells += [f"{figures[who][name]['value']:.3f}" if who in figures else "" for who in probes]
            print(f"| {' | '.join(cells)} |", flush=True)


def tuned(root: Path, task: str) -> dict[str, dict[str, Any]]:
    """Figures of the stage's own report by network and control."""
    recipe, store = recipe_of(int(root.name)), Store(str(root))
    labels = root / "split" / f"{task}.jsonl"
    labels.parent.mkdir(exist_ok=True)
    rows = split(list(labelled(root, task)), recipe.codebook.heldout_fraction)
    labels.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    config = replace(CONFIG, task=KINDS.get(task, "classification"), labels=str(labels), seed=int(root.name))
    config = replace(config, **OPTIONS.get(task, {}))
    (model,) = store.folders("models")
    recipe, selection = replace(recipe, finetune=config), Selection(model=model)
    (done,) = run_stage(recipe, store, "finetune", batches=(), selection=selection, executor=LocalExecutor())
    figures: dict[str, dict[str, Any]] = json.loads(store.read(f"finetuned/{done.spec}/metrics.json"))["figures"]
    return figures


def labelled(root: Path, task: str) -> Iterator[dict[str, Any]]:
    for line in (root / "incoming/truth/labels" / f"{task}.jsonl").read_text().splitlines():
        yield json.loads(line)


def ceiling(root: Path, task: str) -> float:
    """1 for an eye that sees every action, but of what it cannot know: how often the likeliest next verb is the one."""
    if task != "next":
        return 1.0
    kitchen = build_kitchen(demo_kitchen(int(root.name)))
    verbs_AV = kitchen.transition_AA @ np.eye(len(kitchen.verbs))[kitchen.actions_A2[:, 0]]
    numbers = {kitchen.words(action): action for action in range(kitchen.config.actions)}
    right: list[bool] = []
    for steps in held_out(root).values():
        for one, two in pairwise(steps):
            guess = kitchen.verbs[int(verbs_AV[numbers[one["verb"], one["noun"]]].argmax())]
            right.append(guess == two["verb"])
    return float(np.mean(right))


def held_out(root: Path) -> Mapping[str, list[dict[str, Any]]]:
    """The steps of the videos that are tested on, in order."""
    steps = true_steps(root / "incoming/truth/truth.jsonl")
    fraction = recipe_of(int(root.name)).codebook.heldout_fraction
    tested = {row["video"] for row in split([{"video": video} for video in steps], fraction) if row["split"] == "test"}
    return {video: sorted(own, key=lambda step: step["step"]) for video, own in steps.items() if video in tested}


if __name__ == "__main__":
    main()
