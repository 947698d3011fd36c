"""Membership never moves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from videobert.runtime.plan import Item, extend_plan

STEPS = st.lists(
    st.dictionaries(st.integers(0, 30).map(lambda n: f"v{n:02d}"), st.integers(0, 12), max_size=12), max_size=8
)


def _items(weights: dict[str, int]) -> list[Item]:
    return [Item(key=key, weight=weight) for key, weight in weights.items()]


@given(steps=STEPS, limit=st.integers(1, 20))
def test_no_item_ever_moves_and_none_is_lost(steps: list[dict[str, int]], limit: int) -> None:
    plan: tuple[tuple[str, ...], ...] = ()
    for weights in steps:
        former = {key: number for number, shard in enumerate(plan) for key in shard}
        next_plan = extend_plan(plan, _items(weights), limit=limit)
        placed = [key for shard in next_plan for key in shard]
        assert sorted(placed) == sorted(weights)
        assert len(next_plan) >= len(plan)  # a shard that lost everything keeps its number
        for number, shard in enumerate(next_plan):
            for key in shard:
                if key in former:
                    assert former[key] == number
                else:
                    assert number >= len(plan)  # a new item costs only its own work
            if number < len(plan):
                assert list(shard) == [key for key in plan[number] if key in weights]
        plan = next_plan


@given(
    weights=st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 12), max_size=20), limit=st.integers(1, 20)
)
def test_shards_hold_at_most_the_limit(weights: dict[str, int], limit: int) -> None:
    plan = extend_plan((), _items(weights), limit=limit)
    for shard in plan:
        assert shard and (sum(weights[key] for key in shard) <= limit or len(shard) == 1)
    assert [key for shard in plan for key in shard] == sorted(weights)


@given(
    weights=st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 12), max_size=20), limit=st.integers(1, 20)
)
def test_a_plan_depends_on_the_set_and_settles(weights: dict[str, int], limit: int) -> None:
    plan = extend_plan((), _items(weights), limit=limit)
    assert plan == extend_plan((), list(reversed(_items(weights))), limit=limit)
    assert plan == extend_plan(plan, _items(weights), limit=limit)


def test_a_late_video_opens_a_new_shard() -> None:
    plan = extend_plan((), [Item(key="a", weight=1), Item(key="c", weight=1)], limit=10)
    assert plan == (("a", "c"),)
    assert extend_plan(plan, [Item(key=k, weight=1) for k in "abc"], limit=10) == (("a", "c"), ("b",))


def test_small_items_fill_no_shard_beyond_a_number() -> None:
    items = [Item(key=k, weight=1) for k in "abcde"]
    assert extend_plan((), items, limit=10, most=2) == (("a", "b"), ("c", "d"), ("e",))
    assert extend_plan((("a", "b", "c"),), items, limit=10, most=2) == (("a", "b", "c"), ("d", "e"))
