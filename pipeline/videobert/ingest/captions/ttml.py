"""TTML and its forerunner DFXP: paragraphs with times. Hostile XML is refused: no document type, no entities.

Times add up along the tree as the recommendation says (https://www.w3.org/TR/ttml1/#timing-attribute-timeContainer):
children of a parallel container count from its begin, those of a sequence from the end of the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from videobert.ingest.captions.cues import MAX_CUES, TimedText

__all__ = ["is_ttml", "parse_ttml"]

_ROOT = re.compile(r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:\w+:)?tt[\s>]", re.DOTALL)
_CLOCK = re.compile(r"(\d{1,6}):(\d\d):(\d\d)(?:(\.\d{1,9})|:(\d{1,4})(?:\.\d+)?)?")
_OFFSET = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(h|m|s|ms|f|t)")
_UNITS = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
_MAX_DEPTH = 50
_OPEN_SECONDS = 1e9
"""End of what has none; a cue that long is not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rates:
    frames: Fraction
    ticks: Fraction


def is_ttml(text: str) -> bool:
    """Whether a text begins as XML whose root is `tt`."""
    return _ROOT.match(text[:4000]) is not None


def parse_ttml(text: str) -> Iterator[TimedText]:
    """Cues in the order of the file. Raises ValueError for XML that is broken, or that defines entities."""
    try:
        # As text: an encoding in the declaration spoke of bytes that are decoded already.
        root: Any = fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text.removeprefix("\ufeff")).strip(), forbid_dtd=True)
    except DefusedXmlException as error:
        raise ValueError(f"no TTML that is read: it defines types or entities ({type(error).__name__})") from error
    except ParseError as error:
        raise ValueError(f"no TTML: {error}") from error
    rates = _rates(root)
    for number, cue in enumerate(_paragraphs(root, 0.0, _OPEN_SECONDS, rates, depth=0)):
        if number == MAX_CUES:
            return
        yield cue


def _paragraphs(element: Any, start: float, end: float, rates: _Rates, *, depth: int) -> Iterator[TimedText]:
    """Cues below an element that is shown from start to end."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"no TTML: more than {_MAX_DEPTH} elements within each other")
    in_sequence, cursor = element.get("timeContainer") == "seq", start
    for child in element:
        name = _name(child.tag)
        if name not in ("body", "div", "p"):
            continue
        begun, ended = _span(child, cursor, end, rates)
        if name == "p":
            yield from _cues(child, begun, ended, rates)
        else:
            yield from _paragraphs(child, begun, ended, rates, depth=depth + 1)
        if in_sequence:
            cursor = ended


def _cues(paragraph: Any, start: float, end: float, rates: _Rates) -> Iterator[TimedText]:
    """One cue, or one for every span with times of its own, as writers of lyrics and of roll-up make them."""
    timed = [child for child in paragraph if _name(child.tag) == "span" and child.get("begin")]
    if timed and paragraph.get("begin") is None:
        for span in timed:
            begun, ended = _span(span, start, end, rates)
            yield begun, ended, _text(span)
    elif end < _OPEN_SECONDS:
        yield start, end, _text(paragraph)


def _span(element: Any, start: float, end: float, rates: _Rates) -> tuple[float, float]:
    begun = start + (_seconds(element.get("begin"), rates) or 0.0)
    until, lasts = _seconds(element.get("end"), rates), _seconds(element.get("dur"), rates)
    ends = [end, *([start + until] if until is not None else []), *([begun + lasts] if lasts is not None else [])]
    return begun, min(ends)


def _seconds(value: str | None, rates: _Rates) -> float | None:
    """A clock time, with a fraction or frames, or an offset in h, m, s, ms, frames or ticks; None for no time."""
    if value is None:
        return None
    if match := _CLOCK.fullmatch(value.strip()):
        hours, minutes, seconds, fraction, frames = match.groups()
        whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
        return float(whole + Fraction(fraction or 0) + (Fraction(int(frames)) / rates.frames if frames else 0))
    if match := _OFFSET.fullmatch(value.strip()):
        number, unit = Fraction(match[1]), match[2]
        if unit in "ft":
            return float(number / (rates.frames if unit == "f" else rates.ticks))
        return float(number * _UNITS[unit])
    return None


def _rates(root: Any) -> _Rates:
    """Frames and ticks a second, as the root element gives them; 30 and 1 otherwise."""
    values = {_name(name): value for name, value in root.attrib.items()}
    frames = _positive(values.get("frameRate")) or Fraction(30)
    multiplier = [_positive(part) for part in values.get("frameRateMultiplier", "1 1").replace(":", " ").split()]
    if len(multiplier) == 2 and multiplier[0] and multiplier[1]:
        frames *= multiplier[0] / multiplier[1]
    return _Rates(frames=frames, ticks=_positive(values.get("tickRate")) or Fraction(1))


def _positive(value: str | None) -> Fraction | None:
    return Fraction(int(value)) if value and re.fullmatch(r"[1-9]\d{0,9}", value) else None


def _text(element: Any) -> str:
    """All text of an element; `br` ends a row, line ends of the file are blanks."""
    parts: list[str] = []

    def walk(node: Any, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError(f"no TTML: more than {_MAX_DEPTH} elements within each other")
        parts.append(" ".join((node.text or "").split("\n")))
        for child in node:
            if _name(child.tag) == "br":
                parts.append("\n")
            elif _name(child.tag) not in ("metadata", "set"):
                walk(child, depth + 1)
            parts.append(" ".join((child.tail or "").split("\n")))

    walk(element, 0)
    return "".join(parts)


def _name(tag: Any) -> str:
    """A tag or attribute without its namespace: three of them are in use, and files without any."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
