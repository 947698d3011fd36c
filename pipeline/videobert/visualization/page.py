"""A self-contained page of pictures: rows of tokens, each as the training frame nearest to its centroid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from videobert.visualization.environment import data_url, render_file

__all__ = ["Cell", "Row", "render_page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One visual token."""

    leaf: int
    caption: str
    """What is written below the picture, such as a probability."""
    probability: float | None = None
    """Of a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Visual tokens side by side."""

    title: str
    cells: Sequence[Cell]


def render_page(
    title: str, note: str, rows: Sequence[Row], pictures: Mapping[int, bytes], *, row_id: str = ""
) -> bytes:
    """One HTML page; `pictures` are PNG by leaf, a leaf without one is shown as its number. All text is escaped."""
    urls = {leaf: data_url(data) for leaf, data in pictures.items()}
    given = {"title": title, "note": note, "rows": rows, "urls": urls, "row_id": row_id}
    return render_file("videobert.visualization", "page.html", given)
