"""`videobert labels`: a public file becomes a table, and a table is checked."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Refused, Told

YOUCOOK = {
    "database": {
        "GLd3aX16zBg": {
            "subset": "training", "recipe_type": "113",
            "annotations": [{"segment": [90, 102], "id": 0, "sentence": "spread margarine on two slices"}],
        }
    }
}  # fmt: skip


def test_the_command_imports_and_checks(told: Told, refused: Refused, tmp_path: Path) -> None:
    source, table = tmp_path / "youcook.json", tmp_path / "labels.jsonl"
    source.write_text(json.dumps(YOUCOOK))
    (line,) = told("labels", "import", str(source), "--format", "youcook2", "--out", str(table))
    assert "2 rows of 1 videos; 1 labels, 1 captions, 1 spans; 2 train" in line
    assert told("labels", "check", str(table)) == [line]
    assert "once --format says" in refused("labels", "import", str(source))
    assert "is not there" in refused("labels", "check", str(tmp_path / "none.csv"))
