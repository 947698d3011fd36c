"""Every link within the repository leads somewhere, and every page can be found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.material import PAGES, REPOSITORY, page_name

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def anchors(page: str) -> set[str]:
    """The fragments of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_links_resolve(path: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", path.read_text())):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, fragment = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{page_name(path)}: {link} leads nowhere"
        if fragment:
            assert fragment in anchors(target.read_text()), f"{page_name(path)}: {link} has no such heading"


def test_every_page_of_the_docs_is_in_the_navigation_or_linked() -> None:
    reachable = (REPOSITORY / "mkdocs.yml").read_text()
    reachable += (REPOSITORY / "docs" / "decisions" / "index.md").read_text()
    for path in (REPOSITORY / "docs").rglob("*.md"):
        assert path.name in reachable, f"{page_name(path)} is in no navigation"


def test_the_search_for_links_finds_a_broken_one() -> None:
    assert _LINK.findall("see [here](nowhere.md#x) and `[not](this)`".replace("`[not](this)`", "")) == ["nowhere.md#x"]
    assert anchors("# The Ray Jobs API\n## Not run\n") == {"the-ray-jobs-api", "not-run"}
