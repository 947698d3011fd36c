"""Sentiment on a rendered kitchen whose light shows a mood of which nothing is said: words, pictures, and both.

    python -m tests.benchmarks.learning.mood FOLDER [--videos 120] [--recipe own] [--freeze embeddings]

Renders the videos into FOLDER, runs the stages of a recipe over them (a shorter pretraining), and fine-tunes the preset
`sentiment` three times on the same labels. Prints the figures of the test split, each with its 95 % interval. With
`own` a clip brings what its token drops; with `demo` there are 64 visual tokens and nothing else.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from videobert.demo.grammar import demo_kitchen
from videobert.demo.render import write_kitchen
from videobert.demo.scene import SceneConfig
from videobert.finetune.config import AugmentOptions
from videobert.finetune.presets import sentiment
from videobert.flow import run_stage
from videobert.recipes import Recipe, demo, own
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.storage import Store
from videobert.stages import flow_of

_BATCH = "2026-01-01"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=120)
    parser.add_argument("--recipe", choices=("own", "demo"), default="own")
    parser.add_argument("--steps", type=int, default=600, help="of pretraining")
    parser.add_argument("--freeze", choices=("nothing", "embeddings", "encoder"), default="nothing")
    parser.add_argument("--drop-text", type=float, default=0.5, help="share shown without words, where both are read")
    given = parser.parse_args()
    corpus, store = given.folder / "corpus", Store(str(given.folder / "root"))
    kitchen = replace(demo_kitchen(1), steps_min=3, steps_max=5)
    write_kitchen(
        kitchen, out_url=str(corpus), batches=[_BATCH], videos_per_batch=given.videos, scene=SceneConfig(moods=True),
        progress=print,
    )  # fmt: skip
    recipe = recipe_of(given.recipe, f"{corpus}/videos/{{batch}}", steps=given.steps)
    selection = Selection()
    for name in [*flow_of("ingest"), "codebook", "tokens", "pretrain"]:
        spec = run(recipe, store, name, selection)
        if name == "codebook":
            selection = Selection(codebook=spec)
        print(name, spec, flush=True)
    for reads in ("text", "video", "both"):
        augment = AugmentOptions(drop_text=given.drop_text if reads == "both" else 0.0)
        task = replace(sentiment(reads), freeze=given.freeze, augment=augment)
        task = replace(task, labels=f"{corpus}/truth/labels/mood.jsonl")
        tuned = run(replace(recipe, finetune=task), store, "finetune", Selection(model=spec))
        figures = json.loads(store.read(f"finetuned/{tuned}/metrics.json"))["figures"]
        print(reads, {who: next(iter(found.items())) for who, found in figures.items()}, flush=True)


def recipe_of(name: str, source: str, *, steps: int) -> Recipe:
    """The recipe with so many steps of pretraining at most."""
    if name == "own":
        base = own()
        pretrain = replace(base.pretrain, most_steps=steps, least_steps=min(steps, base.pretrain.least_steps))
    else:
        base = replace(demo(), codebook=replace(demo().codebook, branching=8, depth=2))
        pretrain = replace(base.pretrain, steps=steps, checkpoint_every_steps=steps)
    return replace(base, ingest=replace(base.ingest, source=source), pretrain=pretrain)


def run(recipe: Recipe, store: Store, name: str, selection: Selection) -> str:
    """The spec of the stage, which is done."""
    (result,) = run_stage(recipe, store, name, batches=[_BATCH], selection=selection, executor=LocalExecutor())
    return result.spec


if __name__ == "__main__":
    main()
