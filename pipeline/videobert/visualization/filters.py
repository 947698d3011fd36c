"""How values are shown in pages. All of it is text, which the templates escape."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["FILTERS", "clock", "colour", "name", "short"]

_DIGITS = re.compile(r"[0-9a-f]{13,}")
_MOST_SECONDS = 1e9
"""That a time is shown with: tables of others may hold any number."""


def short(value: str) -> str:
    """An id or a URL as it is read: long digests cut to eight digits, of a URL its last two parts."""
    parts = value.split("/")
    shown = "/".join(parts[-2:]) if "://" in value else value
    return _DIGITS.sub(lambda found: found[0][:8], shown)


def clock(seconds: float) -> str:
    """Minutes and seconds, `1:02.5`; hours where there are any."""
    tenths = round(min(seconds, _MOST_SECONDS) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    shown = f"{minutes:02d}:{rest // 10:02d}" if hours else f"{minutes}:{rest // 10:02d}"
    return (f"{hours}:" if hours else "") + shown + (f".{rest % 10}" if rest % 10 else "")


def name(uri: str) -> str:
    """The last part of an address."""
    return uri.rstrip("/").rsplit("/", 1)[-1]


def colour(leaf: int) -> str:
    """A hue for each token; neighbours in number are far apart in hue."""
    return f"hsl({leaf * 137.508 % 360:.0f} 60% 55%)"


FILTERS: dict[str, Callable[..., str]] = {"short": short, "clock": clock, "name": name, "colour": colour}
