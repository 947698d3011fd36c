"""`videobert index`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Refused, Told
from tests.small_root import SmallRoot


def test_a_search_in_all_lists_is_the_exact_one(told: Told, copied: SmallRoot) -> None:
    search = ("search", "stir the egg", "--root", copied.root, "--top", "7", "--per-video", "2")
    exact = told(*search)
    (line,) = told("index", "--root", copied.root)
    assert "segments in" in line and copied.specs["embed"] in line
    assert told(*search, "--probes", "1000") == exact


def test_nothing_to_index(refused: Refused, tmp_path: Path) -> None:
    assert "no model is promoted" in refused("index", "--root", str(tmp_path))
