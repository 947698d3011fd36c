"""Losses over steps as lines of an SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Line", "Plot", "plot"]

WIDTH, HEIGHT = 640, 200
_MOST_POINTS = 400
_HUES = (212, 22, 152, 300, 45, 0, 260, 90)

Curve = Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve."""

    name: str
    colour: str
    points: str
    """As the attribute `points` of a polyline takes them."""
    last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Curves over the same axes, both from 0."""

    lines: list[Line]
    steps: float
    """At the right edge."""
    most: float
    """At the upper edge."""
    width: int = WIDTH
    height: int = HEIGHT


def plot(curves: Mapping[str, Curve], *, figure: str = "loss") -> Plot | None:
    """One line per name; None where no curve has two points."""
    found = {name: _points(curve, figure) for name, curve in curves.items()}
    found = {name: points for name, points in found.items() if len(points) > 1}
    if not found:
        return None
    steps = max(points[-1][0] for points in found.values()) or 1.0
    most = max(value for points in found.values() for _, value in points) or 1.0
    lines = [
        Line(
            name=name, colour=f"hsl({_HUES[number % len(_HUES)]} 70% 50%)", last=points[-1][1],
            points=" ".join(f"{WIDTH * step / steps:.1f},{HEIGHT * (1 - value / most):.1f}" for step, value in points),
        )
        for number, (name, points) in enumerate(found.items())
    ]  # fmt: skip
    return Plot(lines=lines, steps=steps, most=most)


def _points(curve: Curve, figure: str) -> list[tuple[float, float]]:
    """(step, value), evenly taken where there are many, the last one always."""
    points = [(record["step"], record[figure]) for record in curve if figure in record]
    return points[:: max(1, len(points) // _MOST_POINTS)] + points[-1:]
