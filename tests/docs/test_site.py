"""The site builds without a warning and loads nothing from outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.docs.material import REPOSITORY

pytestmark = pytest.mark.slow

_LOADED = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "use": "href",
}
"""Element -> attribute whose URL a browser fetches by itself."""


class _Resources(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in _LOADED and values.get("rel") != "canonical":
            self.urls.append(values.get(_LOADED[tag]) or "")


def outside(page: str) -> list[str]:
    """The URLs of another host that a browser would fetch."""
    parser = _Resources()
    parser.feed(page)
    return [url for url in parser.urls if re.match(r"(https?:)?//", url)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [str(Path(sys.executable).with_name("mkdocs")), "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_pages_load_nothing_from_outside(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 20
    assert {page.name: outside(page.read_text()) for page in pages if outside(page.read_text())} == {}
    # The theme's script fetches its diagrams' library from outside, where a page has a diagram.
    assert not [page.name for page in pages if 'class="mermaid"' in page.read_text()]


def test_styles_load_nothing_from_outside(site: Path) -> None:
    styles = [*site.rglob("*.css")]
    assert styles
    for style in styles:
        assert not re.findall(r"url\(['\"]?(?:https?:)?//|@import", style.read_text()), style.name


def test_the_reference_shows_fields_with_their_text(site: Path) -> None:
    page = (site / "reference" / "configuration.html").read_text()
    assert "clip_seconds" in page and "Length of a clip" in page


def test_the_search_finds_what_a_browser_fetches() -> None:
    assert outside('<script src="https://cdn.example/x.js"></script><img src="//h/y.png"><a href="https://z">') == [
        "https://cdn.example/x.js", "//h/y.png",
    ]  # fmt: skip
