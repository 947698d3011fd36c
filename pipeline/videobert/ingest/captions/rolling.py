"""Captions that roll up, or grow word by word, show each word several times; it was said once.

Broadcast captions (CEA-608) scroll over two to four rows, YouTube's automatic ones over two, with 10 ms of the last row
alone between two cues; live captions repeat a row with one more word. People also say a thing three times in a row.
The whole file tells which of both it is: in a rolling one, every other cue begins with what the last one showed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

__all__ = ["Shown", "said_once"]

_TOUCHING_SECONDS = 0.1
_FLASH_SECONDS = 0.05
"""Nobody reads a cue as short as this one: it is a step of the scroll."""
_PAUSE_SECONDS = 10.0
"""Rows that stay over a pause in the speech still roll up after it."""
_ROLLING_SHARE = 0.25
"""Of the cues that follow another without a gap. A rolling file has 0.5 (YouTube) to 1, films under 0.01."""
_SENTENCE_ENDS = tuple(".!?…。！？؟۔")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Rows on the screen from start to end, in seconds; no row is empty."""

    start: float
    end: float
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """From one display to the next: what stayed, what grew, what is new."""

    kept: int
    """Rows at the top of the later display that the former one showed at its bottom; 0 when they share nothing."""
    grown: str = ""
    """What the last of them gained."""


def said_once(shown: Sequence[Shown]) -> list[Shown]:
    """Displays in time order -> what each adds to the former ones; those that add nothing are left out."""
    unique = list(
        dict.fromkeys(shown)
    )  # streams cut in segments repeat the cue at a cut, styled ones draw it in layers
    displays = _at_once(unique)
    if not _is_rolling(displays):
        return [now for before, now in zip([None, *unique], unique, strict=False) if not _is_flash(before, now)]
    said: list[Shown] = []
    before: Shown | None = None
    for now in displays:
        step = _step(before, now) if before else _Step(kept=0)
        fresh = now.rows[step.kept :]
        pause = now.start - before.end if before else 0.0
        if not step.kept or pause > (_PAUSE_SECONDS if fresh else _TOUCHING_SECONDS):
            said.append(now)
        elif before and not fresh and not step.grown:
            if _said_again(before, now):
                said.append(replace(now, rows=now.rows[-1:]))
        else:
            if step.grown:
                said[-1] = replace(said[-1], end=now.end, rows=(*said[-1].rows[:-1], said[-1].rows[-1] + step.grown))
            if fresh:
                said.append(replace(now, rows=fresh))
        before = now
    return said


def _at_once(shown: Sequence[Shown]) -> list[Shown]:
    """Cues of the same times are the rows of one display: some writers give each row a cue."""
    displays: list[Shown] = []
    for now in shown:
        if displays and (now.start, now.end) == (displays[-1].start, displays[-1].end):
            displays[-1] = replace(now, rows=displays[-1].rows + now.rows)
        else:
            displays.append(now)
    return displays


def _is_rolling(displays: Sequence[Shown]) -> bool:
    pairs = [(a, b) for a, b in pairwise(displays) if b.start - a.end <= _TOUCHING_SECONDS]
    rolled = sum(_rolls(before, now) for before, now in pairs)
    return rolled > 0 and rolled >= _ROLLING_SHARE * len(pairs)


def _rolls(before: Shown, now: Shown) -> bool:
    """Whether `now` repeats and adds. A finished sentence before a longer row may as well have been said twice."""
    step = _step(before, now)
    if step.kept < len(now.rows):
        return step.kept > 0
    return bool(step.grown) and not before.rows[-1].endswith(_SENTENCE_ENDS)


def _step(before: Shown, now: Shown) -> _Step:
    """The longest run of rows from the bottom of `before` to the top of `now`; its last row may have grown."""
    for kept in range(min(len(before.rows), len(now.rows)), 0, -1):
        old, new = before.rows[-kept:], now.rows[:kept]
        if old[:-1] == new[:-1] and new[-1].startswith(old[-1]):
            return _Step(kept=kept, grown=new[-1][len(old[-1]) :])
    return _Step(kept=0)


def _said_again(before: Shown, now: Shown) -> bool:
    """Whether a display that shows nothing new comes from a row that equals all the others: "Stir." three times."""
    return not _is_flash(before, now) and before.rows == now.rows and len(set(now.rows)) == 1


def _is_flash(before: Shown | None, now: Shown) -> bool:
    if before is None or now.end - now.start > _FLASH_SECONDS or now.start - before.end > _TOUCHING_SECONDS:
        return False
    return before.rows[-len(now.rows) :] == now.rows
