"""Documentation and code speak the language of the field, not that of this house's past."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.material import PAGES, REPOSITORY, page_name

_FORMER = re.compile(
    r"\b(beside|turned bits?|found committed|(a|one) run a (batch|day)"
    r"|(bytes|seconds|cores?|clips?) a (clip|video|second|stage|batch|shard)"
    r"|stretch of|gallery|stands for itself|SHARD_GROUPS|pipeline/(stages|runtime|corpus))\b"
)
"""Words that were replaced: versus or next to, bit flips, already committed, one run per batch, bytes per clip."""


@pytest.mark.parametrize("path", [path for path in PAGES if path.name != "CHANGELOG.md"], ids=page_name)
def test_no_former_word_is_left(path: Path) -> None:
    assert _FORMER.findall(path.read_text()) == []


def test_no_former_word_is_left_in_code() -> None:
    programs = [
        path for top in ("dags", "infra", "operators", "pipeline", "tests") for path in (REPOSITORY / top).rglob("*.py")
    ]
    found = {page_name(path): _FORMER.findall(path.read_text()) for path in programs if path != Path(__file__)}
    assert len(found) > 500 and {name: words for name, words in found.items() if words} == {}


def test_the_search_finds_them() -> None:
    assert _FORMER.search("written beside the clip") and _FORMER.search("14 bytes a clip")
    assert not _FORMER.search("one run per batch")
