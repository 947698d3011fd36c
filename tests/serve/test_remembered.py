"""What is kept of answers: for a time, so many, and of those that are weighed so many bytes."""

from __future__ import annotations

from dataclasses import dataclass

from videobert.serve.remembered import NOTHING, Remembered, bytes_of


def test_an_answer_is_kept_for_its_seconds() -> None:
    kept = Remembered(seconds=2, most=9, most_bytes=9)
    kept.keep("a", 10.0, None, 0)
    assert kept.get("a", 11.9) is None and kept.get("a", 12.0) is NOTHING and kept.get("b", 11.0) is NOTHING


def test_what_was_kept_first_makes_room_by_number_and_by_bytes() -> None:
    kept = Remembered(seconds=9, most=3, most_bytes=100)

    def known() -> list[str]:
        return [key for key in "abcdef" if kept.get(key, 0.0) is not NOTHING]

    for key in "abcd":
        kept.keep(key, 0.0, key, 10)
    assert known() == ["b", "c", "d"] and kept.bytes == 30
    kept.keep("c", 0.0, "again", 85)
    assert known() == ["c", "d"] and kept.bytes == 95, "b made room"
    kept.keep("e", 0.0, "e", 20)
    assert known() == ["e"] and kept.bytes == 20, "d and c made room"
    kept.keep("f", 0.0, "f", 101)
    assert known() == ["e"] and kept.bytes == 20, "too heavy for itself"
    kept.clear()
    assert known() == [] and kept.bytes == 0
    for key, weight in (("a", 0), ("b", 60), ("c", 60)):
        kept.keep(key, 0.0, key, weight)
    assert known() == ["a", "c"] and kept.bytes == 60, "what has no weight makes no room for bytes"


@dataclass(frozen=True, slots=True)
class Held:
    """As answers are."""

    rows: list[dict[str, str | float | None]]


def test_texts_weigh_what_they_hold_wherever_they_lie() -> None:
    light, heavy = Held([{"text": "", "score": 0.5, "none": None}]), Held([{"text": "x" * 10_000}, {"y" * 10_000: "z"}])
    assert bytes_of(light) < 1000 and 20_000 < bytes_of(heavy) < 21_000
