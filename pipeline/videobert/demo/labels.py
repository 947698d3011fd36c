"""Labels of the kitchen for fine-tuned tasks: what each step and each video shows, from the recipe itself.

verb, noun     of a step: one class
next           verb of the step that follows: one class; the last step of a video has none
ingredients    nouns of a video: several classes
family         of a video: which fifth of the nouns most of its steps handle; one class
steps          of a video: how many there are; a value
questions      of a video: what is chopped, for every verb that occurs once; the answer is the noun
captions       of two steps that follow each other: a sentence that names both
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from videobert.demo.grammar import Recipe, Step
from videobert.demo.words import NOUNS

__all__ = ["FAMILIES", "STEP_TASKS", "VIDEO_TASKS", "asked_of", "caption_of", "family_of", "label_tables"]

FAMILIES = ("salad", "omelette", "stew", "bake", "soup")

STEP_TASKS: Mapping[str, Callable[[Recipe, int], str]] = {
    "verb": lambda recipe, step: recipe.steps[step].verb,
    "noun": lambda recipe, step: recipe.steps[step].noun,
    "next": lambda recipe, step: recipe.steps[step + 1].verb if step + 1 < len(recipe.steps) else "",
}
"""Name -> label of a step; empty: it has none."""

VIDEO_TASKS: Mapping[str, Callable[[Recipe], list[str] | float]] = {
    "ingredients": lambda recipe: sorted({step.noun for step in recipe.steps}),
    "family": lambda recipe: [family_of([step.noun for step in recipe.steps])],
    "steps": lambda recipe: float(len(recipe.steps)),
}
"""Name -> classes or value of a video."""


def family_of(nouns: Sequence[str]) -> str:
    """The family that most of the nouns are of; among equals the one that came first."""
    return Counter(FAMILIES[NOUNS.index(noun) % len(FAMILIES)] for noun in nouns).most_common(1)[0][0]


def asked_of(recipe: Recipe) -> list[tuple[str, str]]:
    """(verb, noun) of the steps whose verb no other step has."""
    counts = Counter(step.verb for step in recipe.steps)
    return [(step.verb, step.noun) for step in recipe.steps if counts[step.verb] == 1]


def caption_of(steps: Sequence[Step]) -> str:
    """What is done, one after the other."""
    return " then ".join(f"{step.verb} the {step.noun}" for step in steps)


def label_tables(recipes: Mapping[str, Recipe]) -> dict[str, bytes]:
    """Task -> the table of its labels as JSON lines, for the recipes of videos by id."""
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in (*STEP_TASKS, *VIDEO_TASKS, "questions", "captions")
    }
    for video_id, recipe in sorted(recipes.items()):
        for number, step in enumerate(recipe.steps):
            span = {"video": video_id, "start_seconds": step.start_seconds, "end_seconds": step.end_seconds}
            for name, label in STEP_TASKS.items():
                if said := label(recipe, number):
                    tables[name].append(span | {"label": [said]})
        for name, value in VIDEO_TASKS.items():
            found = value(recipe)
            tables[name].append(
                {"video": video_id, **({"value": found} if isinstance(found, float) else {"label": found})}
            )
        for verb, noun in asked_of(recipe):
            tables["questions"].append({"video": video_id, "question": f"what do we {verb}?", "answer": noun})
        for pair in pairwise(recipe.steps):
            span = {"video": video_id, "start_seconds": pair[0].start_seconds, "end_seconds": pair[1].end_seconds}
            tables["captions"].append(span | {"text": caption_of(pair)})
    return {
        name: "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows).encode() for name, rows in tables.items()
    }
