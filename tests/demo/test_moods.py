"""The light of a step shows its mood and nothing else does; kitchens without moods are what they were."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np

from videobert.demo.grammar import build_kitchen, demo_kitchen, random_for
from videobert.demo.moods import MOODS, mood_of, mood_table
from videobert.demo.render import _DRAWING, _Film
from videobert.demo.scene import SceneConfig, frames
from videobert.finetune.presets import sentiment
from videobert.labels.read import parse_labels
from videobert.recipes import get_recipe
from videobert.runtime.storage import sha256

KITCHEN = demo_kitchen()


def test_cheerful_steps_are_brighter_and_warmer_and_say_the_same() -> None:
    recipe = build_kitchen(KITCHEN).recipe("a/1")
    times_N = np.array([step.start_seconds + 0.5 for step in recipe.steps])

    def drawn(scene: SceneConfig) -> np.ndarray:
        return np.stack(list(frames(recipe, times_N, config=scene, rng=random_for(0, "x")))).astype(float)

    plain, lit = drawn(SceneConfig()), drawn(SceneConfig(moods=True))
    height = SceneConfig().height
    brighter_N = (lit[:, :height] - plain[:, :height]).mean((1, 2)) > 0
    bluer_N = (lit[:, height : height * 5 // 4] - plain[:, height : height * 5 // 4]).mean((1, 2)) > 0
    cheerful_N = [mood_of(recipe, step) == "cheerful" for step in range(len(recipe.steps))]
    assert brighter_N.tolist() == cheerful_N and (~bluer_N).tolist() == cheerful_N
    rows = parse_labels(mood_table({"f" * 64: recipe}), "mood.jsonl")
    assert [row.label for row in rows] == [(mood_of(recipe, step),) for step in range(len(recipe.steps))]
    moods = [mood_of(build_kitchen(KITCHEN).recipe(f"a/{n}"), 0) for n in range(60)]
    assert set(moods) == set(MOODS) and 20 < moods.count("cheerful") < 40


def test_a_corpus_from_before_is_found_complete() -> None:
    scene = asdict(SceneConfig())
    del scene["moods"]
    parts = [_DRAWING, "a/1", KITCHEN.digest(), scene, False]
    film = _Film(key="a/1", config=KITCHEN, scene=SceneConfig(), speech=False)
    assert film.recipe_digest() == sha256(json.dumps(parts, sort_keys=True).encode())[:16]


def test_the_preset_reads_words_pictures_or_both() -> None:
    assert get_recipe("sentiment").finetune == sentiment()
    assert [sentiment(reads).reads for reads in ("text", "video", "both")] == ["text", "video", "both"]
