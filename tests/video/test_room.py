"""The decoder's room stands on errors and on nothing else of the pipeline."""

from __future__ import annotations

import ast
from pathlib import Path

import videobert.video


def test_the_room_uses_only_what_stands_below_it() -> None:
    folder = Path(next(iter(videobert.video.__path__)))
    used = {
        node.module
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("videobert")
    }
    assert {name for name in used if not name.startswith("videobert.video.")} == {"videobert.errors"}
