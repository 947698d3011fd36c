"""Files that are no videos, made by code: what a bucket holds sooner or later."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from videobert.demo.film import FilmFormat, encode
from videobert.demo.grammar import KitchenConfig, build_kitchen
from videobert.demo.scene import SceneConfig
from videobert.errors import InputError
from videobert.runtime.storage import Store

__all__ = ["broken_files", "write_broken"]


def broken_files() -> dict[str, bytes]:
    """Name and bytes of an empty file, an mp4 whose copy stopped before its index, and a text in disguise."""
    return {
        "broken-empty.mp4": b"",
        "broken-text.mp4": b"This is a shopping list and no video: onions, eggs, a lemon.\n" * 20,
        "broken-truncated.mp4": _truncated(),
    }


def _truncated() -> bytes:
    """The first half of a real mp4: the `moov` box, which says where the frames are, comes last and is lost."""
    config = KitchenConfig(steps_min=1, steps_max=1, step_seconds_min=2.0, step_seconds_max=2.0)
    recipe = build_kitchen(config).recipe("broken/truncated")
    whole = encode(
        recipe, config=config, scene=SceneConfig(), film=FilmFormat(suffix=".mp4", rate=Fraction(25)), speech=False
    )
    if whole.find(b"moov") < len(whole) // 2:
        raise InputError("this FFmpeg writes moov first, so half a file would still play; cut the file before moov")
    return whole[: len(whole) // 2]


def write_broken(out_url: str, batches: Sequence[str]) -> tuple[int, int]:
    """Write them to `videos/<batch>/`, over `batches` in turn; returns (files present, files this call wrote)."""
    store, written, files = Store(out_url), 0, broken_files()
    present = store.list("videos")
    for number, (name, data) in enumerate(files.items()):
        path = f"videos/{batches[number % len(batches)]}/{name}"
        if present.get(path) != len(data):
            store.write(path, data)
            written += 1
    return len(files), written
