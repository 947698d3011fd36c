import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videobert.demo.grammar import KitchenConfig, build_kitchen, demo_kitchen
from videobert.demo.words import CHATTER, TEMPLATES
from videobert.errors import InputError


@st.composite
def kitchens(draw: st.DrawFn) -> KitchenConfig:
    verbs, nouns = draw(st.integers(2, 12)), draw(st.integers(2, 24))
    current = draw(st.floats(0, 1))
    return KitchenConfig(
        seed=draw(st.integers(0, 2**32)),
        verbs=verbs,
        nouns=nouns,
        actions=draw(st.integers(max(4, verbs, nouns), max(4, verbs * nouns))),
        zipf_exponent=draw(st.floats(0, 2)),
        successor_probability=draw(st.floats(0, 1)),
        narration_current=current,
        narration_neighbour=draw(st.floats(0, 1 - current)),
        steps_min=draw(st.integers(1, 4)),
    )


@settings(deadline=None, max_examples=40)
@given(config=kitchens(), key=st.text(max_size=20))
def test_every_recipe_obeys_the_grammar(config: KitchenConfig, key: str) -> None:
    kitchen = build_kitchen(config)
    recipe = kitchen.recipe(key)
    assert config.steps_min <= len(recipe.steps) <= config.steps_max
    assert recipe.steps[0].start_seconds == 0
    assert all(a.end_seconds == b.start_seconds for a, b in zip(recipe.steps, recipe.steps[1:], strict=False))
    actions = [step.action for step in recipe.steps]
    for position, step in enumerate(recipe.steps):
        assert config.step_seconds_min - 1e-3 <= step.end_seconds - step.start_seconds <= config.step_seconds_max + 1e-3
        assert (step.verb, step.noun) == kitchen.words(step.action)
        around = actions[max(0, position - 1) : position] + actions[position + 1 : position + 2]
        if step.narration == "chit-chat":
            assert step.caption in CHATTER and step.narrated_action == -1
        else:
            told = [step.action] if step.narration == "current" else around
            assert step.narrated_action in told
            verb, noun = kitchen.words(step.narrated_action)
            assert step.caption in {template.format(verb=verb, noun=noun) for template in TEMPLATES}


@settings(deadline=None, max_examples=40)
@given(config=kitchens())
def test_the_world_is_a_proper_distribution_that_covers_every_word(config: KitchenConfig) -> None:
    kitchen = build_kitchen(config)
    assert len({tuple(pair) for pair in kitchen.actions_A2.tolist()}) == config.actions
    assert set(kitchen.actions_A2[:, 0]) == set(range(config.verbs))
    assert set(kitchen.actions_A2[:, 1]) == set(range(config.nouns))
    np.testing.assert_allclose(kitchen.transition_AA.sum(1), 1)
    np.testing.assert_allclose(kitchen.stationary_A @ kitchen.transition_AA, kitchen.stationary_A, atol=1e-9)


def test_shares_of_narration_and_of_successors_are_those_of_the_config() -> None:
    config = KitchenConfig(seed=4)
    kitchen = build_kitchen(config)
    recipes = [kitchen.recipe(f"v{i}") for i in range(1500)]
    kinds = [step.narration for recipe in recipes for step in recipe.steps]
    error = 4 * (0.25 / len(kinds)) ** 0.5
    for kind, share in (("current", 0.5), ("neighbour", 0.3), ("chit-chat", 0.2)):
        assert kinds.count(kind) / len(kinds) == pytest.approx(share, abs=error)
    favourites = np.argsort(kitchen.transition_AA - 0.4 * kitchen.popularity_A, axis=1)[:, -3:]
    moves = [(a.action, b.action) for r in recipes for a, b in zip(r.steps, r.steps[1:], strict=False)]
    hits = np.mean([b in favourites[a] for a, b in moves])
    by_chance = 0.4 * np.mean([kitchen.popularity_A[favourites[a]].sum() for a, _ in moves])
    assert hits == pytest.approx(0.6 + by_chance, abs=4 * (0.25 / len(moves)) ** 0.5)


def test_a_recipe_depends_on_seed_and_key_only() -> None:
    config = demo_kitchen(seed=3)
    alone = build_kitchen(config).recipe("b")
    build_kitchen.cache_clear()
    kitchen = build_kitchen(config)
    assert kitchen.recipe("a") != alone
    assert kitchen.recipe("b") == alone
    assert build_kitchen(demo_kitchen(seed=4)).recipe("b") != alone


@pytest.mark.parametrize(
    "wrong",
    [
        {"verbs": 13},
        {"nouns": 1},
        {"actions": 23},
        {"actions": 289},
        {"successors": 120},
        {"zipf_exponent": -0.1},
        {"narration_current": 0.8},
        {"steps_min": 9},
        {"step_seconds_min": 0.0},
    ],
)
def test_an_impossible_kitchen_is_refused_with_its_value(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=str(next(iter(wrong.values())))):
        KitchenConfig(**wrong)  # type: ignore[arg-type]
