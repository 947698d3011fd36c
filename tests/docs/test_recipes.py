"""Every recipe in the documentation is one that `--recipe` takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.material import Block, blocks
from videobert.recipes import get_recipe

RECIPES = blocks("toml")


def test_there_is_one() -> None:
    assert RECIPES


@pytest.mark.parametrize("block", RECIPES, ids=str)
def test_it_is_read(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(block.text)
    get_recipe(str(path))
