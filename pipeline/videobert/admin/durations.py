"""How long the videos of a source are, told from a few of them: a run takes as long as they play."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from videobert.errors import VideoError
from videobert.runtime.filesystem import fetch
from videobert.video.isolated import IsolatedDecoder
from videobert.video.limits import DecoderLimits

__all__ = ["Durations", "measure_durations"]

_LOOKED_AT = 5
_LARGEST_FETCHED = 64 << 20
"""Bytes of a video in a remote store that is fetched to be looked at; local ones are opened where they lie."""
_SECONDS_PER_MEGABYTE = 8.0
"""Of ordinary H.264 at one megabit per second, where no video could be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Of all videos of a source."""

    seconds: float
    """Estimated."""
    looked_at: int
    """Videos whose duration was read."""
    unreadable: int = 0
    """Videos that were looked at and are no videos."""


def measure_durations(sizes: Mapping[str, int], limits: DecoderLimits) -> Durations:
    """Seconds of all videos, given bytes by uri: the seconds per byte of some small, middling and large ones."""
    total, decoder = sum(sizes.values()), IsolatedDecoder(limits)
    seconds, size, looked_at, unreadable = 0.0, 0, 0, 0
    for uri in _spread(sizes):
        try:
            found = _duration(decoder, uri)
        except (VideoError, OSError):
            unreadable += 1
            continue
        seconds, size, looked_at = seconds + found, size + sizes[uri], looked_at + 1
    rate = seconds / size if size else _SECONDS_PER_MEGABYTE / 1e6
    return Durations(seconds=rate * total, looked_at=looked_at, unreadable=unreadable)


def _spread(sizes: Mapping[str, int]) -> list[str]:
    """Some videos, evenly over the order of their sizes."""
    order = sorted(
        (size, uri) for uri, size in sizes.items() if size and (_is_local(uri) or size <= _LARGEST_FETCHED)
    )  # fmt: skip
    count = min(_LOOKED_AT, len(order))
    return [order[(2 * place + 1) * len(order) // (2 * count)][1] for place in range(count)]


def _duration(decoder: IsolatedDecoder, uri: str) -> float:
    if _is_local(uri):
        return float(decoder.probe(uri.removeprefix("file://")).duration_seconds or 0.0)
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        local = Path(folder) / f"video{Path(uri).suffix.lower()}"
        fetch(uri, local)
        return float(decoder.probe(local).duration_seconds or 0.0)


def _is_local(uri: str) -> bool:
    return uri.startswith("file://")
