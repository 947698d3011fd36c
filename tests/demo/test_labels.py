"""The kitchen's labels say what its recipes show, and the observer's answers are the best there are."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np

from videobert.demo.grammar import build_kitchen, demo_kitchen
from videobert.demo.labels import FAMILIES, STEP_TASKS, VIDEO_TASKS, asked_of, family_of, label_tables
from videobert.demo.oracle import bayes_ceiling
from videobert.demo.task_oracle import answer_shares, pair_answers, step_counts, step_shares, video_shares
from videobert.demo.tokens import TokenChannel, sample_pairs
from videobert.labels.read import parse_labels

KITCHEN, CHANNEL = demo_kitchen(), TokenChannel(noise=0.35)


def test_tables_are_read_as_labels_and_say_what_the_recipe_shows() -> None:
    recipe = build_kitchen(KITCHEN).recipe("a/1")
    tables = label_tables({"f" * 64: recipe})
    assert tables.keys() == {*STEP_TASKS, *VIDEO_TASKS, "questions", "captions"}
    rows = {name: parse_labels(data, f"{name}.jsonl") for name, data in tables.items()}
    assert [row.label for row in rows["verb"]] == [(step.verb,) for step in recipe.steps]
    assert [row.label for row in rows["next"]] == [(step.verb,) for step in recipe.steps[1:]]
    assert set(rows["ingredients"][0].label) == {step.noun for step in recipe.steps}
    assert rows["steps"][0].value == len(recipe.steps) and rows["steps"][0].start_seconds is None
    assert rows["noun"][0].end_seconds == recipe.steps[0].end_seconds
    steps = recipe.steps
    assert rows["captions"][0].text == f"{steps[0].verb} the {steps[0].noun} then {steps[1].verb} the {steps[1].noun}"
    assert rows["captions"][0].end_seconds == steps[1].end_seconds and len(rows["captions"]) == len(steps) - 1
    asked = {row.question: row.answer for row in rows["questions"]}
    once = [step for step in steps if [s.verb for s in steps].count(step.verb) == 1]
    assert asked == {f"what do we {step.verb}?": step.noun for step in once}
    assert all(json.loads(line)["video"] == "f" * 64 for line in tables["family"].decode().splitlines())


def test_the_family_is_that_of_most_nouns_and_of_the_first_among_equals() -> None:
    assert family_of(["egg", "tomato", "cucumber"]) == "salad"  # tomato and cucumber
    assert family_of(["egg", "tomato"]) == "omelette"


def test_the_observer_reaches_the_documented_ceiling_and_is_calibrated() -> None:
    kitchen = build_kitchen(KITCHEN)
    videos = list(sample_pairs(KITCHEN, 4_000, split="oracle", channel=CHANNEL))
    shares_NC = step_shares(kitchen, CHANNEL, videos, task="verb")
    truth = [kitchen.verbs.index(step.verb) for v in videos for step in v.recipe.steps]
    ceiling = bayes_ceiling(KITCHEN, channel=CHANNEL, pairs=4_000)
    assert abs((shares_NC.argmax(1) == truth).mean() - ceiling.verb_top1) < 1e-9
    for task, right in (("family", _family), ("ingredients", _ingredients)):
        own_NC = np.array([right(kitchen, v.recipe) for v in videos[:25]])
        found = {told: video_shares(kitchen, CHANNEL, videos[:25], task=task, told=told) for told in (True, False)}
        for shares_NC in found.values():
            assert abs(shares_NC.mean() - own_NC.mean()) < 0.02, "an observer that knows the grammar is calibrated"
            assert shares_NC[own_NC].mean() > 0.85 > 0.15 > shares_NC[~own_NC].mean()
        assert found[True][own_NC].mean() > found[False][own_NC].mean(), "who knows where steps begin is surer"


def test_the_observer_counts_steps_answers_questions_and_tells_two_steps() -> None:
    kitchen, clean = build_kitchen(KITCHEN), TokenChannel(noise=0.05)
    videos = list(sample_pairs(KITCHEN, 400, split="oracle", channel=clean))
    counts = np.array([len(v.recipe.steps) for v in videos])
    errors = {
        noise: np.abs(step_counts(kitchen, TokenChannel(noise=noise), videos, told=False) - counts).mean()
        for noise in (0.05, 1.0)
    }
    assert errors[0.05] < 0.2 < 0.5 < errors[1.0], "tokens that say nothing of actions leave the length alone"
    assert np.allclose(step_counts(kitchen, clean, videos, told=True), counts)
    told = pair_answers(kitchen, clean, videos)
    truth = [(one.action, two.action) for v in videos for one, two in pairwise(v.recipe.steps)]
    assert np.mean([one == two for one, two in zip(told, truth, strict=True)]) > 0.98
    asked = [asked_of(v.recipe) for v in videos]
    shares = answer_shares(kitchen, clean, videos, [[verb for verb, _ in pairs] for pairs in asked], told=False)
    nouns = [kitchen.nouns.index(noun) for pairs in asked for _, noun in pairs]
    assert np.mean([row.argmax() == noun for row, noun in zip(shares, nouns, strict=True)]) > 0.98


def _family(kitchen: Any, recipe: Any) -> list[bool]:
    own = family_of([step.noun for step in recipe.steps])
    return [family == own for family in FAMILIES]


def _ingredients(kitchen: Any, recipe: Any) -> list[bool]:
    held = {step.noun for step in recipe.steps}
    return [noun in held for noun in kitchen.nouns]
