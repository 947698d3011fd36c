"""A self-contained page of pictures: rows of tokens, each as the training frame nearest to its centroid."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["Cell", "Row", "render_page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One visual token."""

    leaf: int
    caption: str
    """What is written below the picture, such as a probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Visual tokens side by side."""

    title: str
    cells: Sequence[Cell]


def render_page(title: str, note: str, rows: Sequence[Row], pictures: Mapping[int, bytes]) -> bytes:
    """One HTML page; `pictures` are PNG by leaf, a leaf without one is shown as its number. All text is escaped."""
    environment = Environment(
        loader=PackageLoader("videobert.visualization"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    urls = {leaf: "data:image/png;base64," + base64.b64encode(data).decode() for leaf, data in pictures.items()}
    return environment.get_template("page.html").render(title=title, note=note, rows=rows, urls=urls).encode()
