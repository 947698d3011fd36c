"""`videobert forecast` and `text-to-video`: visual tokens that the model predicts, with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from videobert.query.model import OpenModel, open_model
from videobert.runtime.storage import Store

if TYPE_CHECKING:
    from videobert.visualization.page import Row

__all__ = ["ForecastCommand", "TextToVideoCommand"]


@dataclass(frozen=True, kw_only=True)
class ForecastCommand:
    """Predict the visual tokens that follow a segment, and show them as training frames.

    videobert forecast VIDEO_ID:SEGMENT --root demo --out forecast.html

    Writes one page that needs nothing else. A picture is the middle frame of the training clip nearest to the
    token's centroid (section 4.4 of the paper). Runs the model: the extra `worker`.
    """

    row: tyro.conf.Positional[str]
    """Row id of the segment, VIDEO_ID:SEGMENT, as `search` prints it."""
    root: str
    """Root of the pipeline."""
    horizon: int = 3
    """Clips to look ahead."""
    top: int = 3
    """Guesses per clip."""
    model: str = "current"
    """Model spec; `current` is the promoted one."""
    out: str = "forecast.html"
    """File to write the page to."""

    def execute(self) -> None:
        opened = open_model(Store(self.root), self.model)
        from videobert.visualization.show import find_segment, forecast

        rows = forecast(opened, find_segment(opened, self.row), horizon=self.horizon, top=self.top)
        _write(opened, "Forecast after", rows, self.out, row_id=self.row)


@dataclass(frozen=True, kw_only=True)
class TextToVideoCommand:
    """Predict the visual tokens of a sentence, and show them as training frames.

    videobert text-to-video "now let me show you how to stir the egg" --root demo --clips 4

    Writes one page that needs nothing else. A picture is the middle frame of the training clip nearest to the
    token's centroid (section 4.4 of the paper). Runs the model: the extra `worker`.
    """

    text: tyro.conf.Positional[str]
    """What to imagine, such as "now let me show you how to stir the egg"; take words as they are said in the videos."""
    root: str
    """Root of the pipeline."""
    clips: int = 3
    """Length of the imagined video."""
    top: int = 3
    """Guesses per clip."""
    model: str = "current"
    """Model spec; `current` is the promoted one."""
    out: str = "text-to-video.html"
    """File to write the page to."""

    def execute(self) -> None:
        opened = open_model(Store(self.root), self.model)
        from videobert.visualization.show import text_to_video

        _write(opened, self.text, text_to_video(opened, self.text, clips=self.clips, top=self.top), self.out)


def _write(opened: OpenModel, title: str, rows: Sequence[Row], out: str, *, row_id: str = "") -> None:
    from videobert.visualization.show import page_of

    for row in rows:
        print(f"{row.title}: {'; '.join(cell.caption for cell in row.cells)}")
    page = Path(out)
    page.write_bytes(page_of(opened, title, rows, row_id=row_id))
    print(f"pictures: {page}")
