"""How far `family` can be learnt from labels by a linear model that is told every noun of every step.

    python -m tests.benchmarks.learning.told_nouns [--labels 100 300 1900] [--seeds 0 1 2]

Recipes of the demo's kitchens, none of them rendered; 2,000 are tested on, and a quarter as many labels choose the
decay. `counts`: how often each noun is named. `first`: that, and the same with less weight the later a step comes, as
the family that comes first decides between equals. The way is that from the commonest family to 1.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from videobert.demo.grammar import Recipe, build_kitchen, demo_kitchen
from videobert.demo.labels import FAMILIES, family_of
from videobert.tasks.probe import fit_probe

TESTED = 2_000
FADES = 0.6
"""Weight of a step relative to the one before."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 300, 1_900])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    print("| kitchen | ties | told | " + " | ".join(f"{count} labels" for count in options.labels) + " |")
    print("|" + "---|" * (3 + len(options.labels)))
    for seed in options.seeds:
        kitchen = build_kitchen(demo_kitchen(seed))
        most = max(options.labels)
        recipes = [kitchen.recipe(f"told-{number}") for number in range(TESTED + most + most // 4)]
        ties = f"{np.mean([tied(recipe) for recipe in recipes]):.0%}"
        for told in ("counts", "first"):
            ways = [way(recipes, kitchen.nouns, count, first=told == "first") for count in options.labels]
            print(f"| {seed} | {ties} | {told} | {' | '.join(f'{found:.0%}' for found in ways)} |", flush=True)


def way(recipes: Sequence[Recipe], nouns: Sequence[str], count: int, *, first: bool) -> float:
    """From the commonest family of the tested recipes to 1."""
    parts = {
        "test": recipes[:TESTED],
        "train": recipes[TESTED : TESTED + count],
        "validation": recipes[TESTED + count : TESTED + count + count // 4],
    }
    rows = {split: np.stack([told(recipe, nouns, first=first) for recipe in own]) for split, own in parts.items()}
    truth = {split: np.array([FAMILIES.index(name_of(r)) for r in own]) for split, own in parts.items()}
    found = fit_probe(rows, truth, problem_type="single_label_classification", classes=len(FAMILIES))
    right = float(np.mean(np.argmax(found, axis=1) == truth["test"]))
    commonest = np.bincount(truth["test"]).max() / TESTED
    return float((right - commonest) / (1 - commonest))


def told(recipe: Recipe, nouns: Sequence[str], *, first: bool) -> NDArray[np.float32]:
    named_SN = np.array([[step.noun == noun for noun in nouns] for step in recipe.steps], np.float32)
    weights = [np.ones(len(named_SN)), FADES ** np.arange(len(named_SN))]
    return np.concatenate([row @ named_SN for row in weights[: 1 + first]]).astype(np.float32)


def name_of(recipe: Recipe) -> str:
    return family_of([step.noun for step in recipe.steps])


def tied(recipe: Recipe) -> bool:
    """Whether two families are named equally often, and most often."""
    counts = [count for _, count in Counter(family_of([step.noun]) for step in recipe.steps).most_common(2)]
    return len(counts) == 2 and counts[0] == counts[1]


if __name__ == "__main__":
    main()
