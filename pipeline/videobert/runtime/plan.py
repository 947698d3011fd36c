"""Which item goes into which shard: pure arithmetic over the former plan, so membership never moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Item", "extend_plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something to place: a key and what it weighs (bytes, or 1 to count)."""

    key: str
    weight: int


def extend_plan(
    former: Sequence[Sequence[str]], items: Iterable[Item], *, limit: int, most: int | None = None
) -> tuple[tuple[str, ...], ...]:
    """Shards as tuples of keys.

    Items of the former plan keep their shard; items gone from `items` leave a gap, never a shift; new ones are packed
    in key order into new shards of at most `limit` (an item above the limit gets a shard of its own) and `most` items.
    """
    weight = {item.key: item.weight for item in items}
    kept = [tuple(key for key in shard if key in weight) for shard in former]
    placed = {key for shard in kept for key in shard}
    opened: list[list[str]] = []
    room = 0
    for key in sorted(weight.keys() - placed):
        if not opened or weight[key] > room or len(opened[-1]) == most:
            opened.append([])
            room = limit
        opened[-1].append(key)
        room -= weight[key]
    return (*kept, *(tuple(shard) for shard in opened))
