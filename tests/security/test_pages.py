"""Captions are anybody's text: a page shows their markup and runs none of it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from videobert.visualization.page import Cell, Row, render_page

HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "{{ 7 * 7 }}",
    "</title></style><iframe src=javascript:alert(1)>", "{% for x in ().__class__.__base__.__subclasses__() %}",
)  # fmt: skip


class _Page(HTMLParser):
    """Tags with their attributes, and the text, as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_never_run(text: str) -> None:
    rows = [Row(title=text, cells=[Cell(leaf=1, caption=text), Cell(leaf=2, caption=text)])]
    source = render_page(text, text, rows, {1: b"png"}).decode()
    page = _Page(source)
    assert page.tags <= {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "bdi", "p", "div", "figure", "figcaption",
        "img", "script",
    }  # fmt: skip
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", source, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.findall(r"script-src ([^;\"]*)", source) == [f"'sha256-{digest}'" for digest in digests]  # ours, one
    assert not [name for name in page.attributes if name.startswith("on")]
    assert page.text.count(text) == 6  # two titles, the note, a row, two captions
    assert "default-src 'none'" in source
