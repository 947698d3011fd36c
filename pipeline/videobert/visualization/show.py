"""What the paper does with visual tokens: forecast the next ones, and imagine the video of a text (section 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.model.scoring import VisualGuess, predict_visual
from videobert.query.model import OpenModel
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.tokens.core import from_json
from videobert.video.options import DecodeOptions
from videobert.visualization.nearest import nearest_clips
from videobert.visualization.page import Cell, Row, render_page
from videobert.visualization.pictures import clip_pictures

__all__ = ["NOTE", "Segment", "find_segment", "forecast", "page_of", "text_to_video"]

NOTE = "Every picture is the middle frame of the training clip whose feature is nearest to the token's centroid."


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A span of a video and what comes after it."""

    text: str
    seen_N: NDArray[np.int32]
    """Leaves of the span."""
    next_N: NDArray[np.int32]
    """Leaves of all clips after it."""


def find_segment(opened: OpenModel, row_id: str) -> Segment:
    """The tokens of VIDEO_ID:SEGMENT. Raises InputError when no batch of the model's tokens holds it."""
    video_id, _, number = row_id.partition(":")
    for sample in opened.samples():
        if sample["video_id"] == video_id and number.isdecimal() and int(number) < len(sample["segments"]):
            video = from_json(sample)
            found = video.segments[int(number)]
            seen_N, next_N = video.visual[found.first_clip : found.last_clip], video.visual[found.last_clip :]
            return Segment(text=found.text, seen_N=seen_N, next_N=next_N)
    raise InputError(
        f"no tokens of {opened.manifest.spec} hold the segment {row_id!r}; `videobert search` prints row ids"
    )


def forecast(opened: OpenModel, segment: Segment, *, horizon: int, top: int) -> list[Row]:
    """The `top` likeliest visual tokens at each of `horizon` clips after a segment, next to what was seen there."""
    guess = predict_visual(opened.model, [None], [segment.seen_N], places=horizon, k=top)
    rows = [Row(title=f"seen: {segment.text or 'no words'}", cells=_plain(segment.seen_N))]
    rows += _guessed(guess, "clip {} after it")
    return [*rows, Row(title="what came", cells=_plain(segment.next_N[:horizon]))]


def text_to_video(opened: OpenModel, text: str, *, clips: int, top: int) -> list[Row]:
    """The `top` likeliest visual tokens at each of `clips` places of a video of which only the text is known."""
    nothing = np.empty(0, np.int32)
    guess = predict_visual(opened.model, [opened.text_ids(text)], [nothing], places=clips, k=top)
    return _guessed(guess, "clip {}")


def page_of(opened: OpenModel, title: str, rows: Sequence[Row], *, row_id: str = "") -> bytes:
    """The rows with their pictures as one HTML page."""
    codebook = _manifest(opened, "codebook", opened.manifest.facts["codebook_spec"], "")
    nearest = nearest_clips(opened.store, codebook, {cell.leaf for row in rows for cell in row.cells})
    batch = codebook.facts["batches"][0]
    features = _manifest(opened, "features", codebook.facts["feature_spec"], batch).config
    # The spec names the weights by their digest; pictures need the times of clips only.
    kept = {name: features[name] for name in ("fps", "clip_seconds", "clip_stride", "last_clip") if name in features}
    drawn = clip_pictures(opened.store, list(nearest.values()), DecodeOptions(**kept))
    pictures = {leaf: drawn[clip] for leaf, clip in nearest.items() if clip in drawn}
    return render_page(title, NOTE, rows, pictures, row_id=row_id)


def _manifest(opened: OpenModel, stage: str, spec: str, batch: str) -> Manifest:
    manifest = load_manifest(opened.store, stage, spec, batch)
    if manifest is None:
        raise InputError(
            f"{stage} {spec} is gone below {opened.store.root}, and pictures need it; run that stage again"
        )
    return manifest


def _plain(leaves_N: NDArray[np.int32]) -> list[Cell]:
    return [Cell(leaf=int(leaf), caption=f"token {leaf}") for leaf in leaves_N]


def _guessed(guess: VisualGuess, title: str) -> list[Row]:
    rows = []
    for place, (leaves, chances) in enumerate(zip(guess.leaves[0], guess.probabilities[0], strict=True), start=1):
        guesses = zip(leaves.tolist(), chances.tolist(), strict=True)
        cells = [Cell(leaf=i, caption=f"token {i}, {p:.2f}", probability=p) for i, p in guesses]
        rows.append(Row(title=title.format(place), cells=cells))
    return rows
