"""The hostile corpus, run once through ingest, shard and features for the tests of this folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hostile.corpus.case import Case
from tests.hostile.corpus.corpus import hostile_cases
from tests.hostile.endings import Harvest, harvest, hostile_recipe, put
from videobert.recipes import Recipe

os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder prints to standard error


@dataclass(frozen=True)
class Bad:
    """The corpus and what became of it."""

    cases: dict[str, Case]
    """Path below the batch's folder -> case."""
    folder: Path
    root: Path
    recipe: Recipe
    harvest: Harvest


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Bad:
    folder, root = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("root")
    cases = put(folder, hostile_cases())
    recipe = hostile_recipe(folder)
    return Bad(cases, folder, root, recipe, harvest(recipe, root, cases))
