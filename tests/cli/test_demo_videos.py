"""`videobert demo-videos` and `youcook`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Refused, Told
from tests.small_root import SmallRoot


def test_the_annotations_of_youcook_must_be_there(refused: Refused, small_root: SmallRoot, tmp_path: Path) -> None:
    root = ("--root", small_root.root)
    missing = str(tmp_path / "none.json")
    assert "none.json" in refused("youcook", missing, *root)
    assert "exclude each other" in refused("youcook", missing, *root, "--videos", "v", "--batch", "b")
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"videos": {}}))
    assert "wrong.json" in refused("youcook", str(wrong), *root)


def test_videos_are_written_once(told: Told, tmp_path: Path) -> None:
    command = ("demo-videos", "--out", str(tmp_path), "--videos-per-batch", "1", "--processes", "1")
    assert "3 kitchen videos" in told(*command)[-1]
    assert told(*command)[-1].endswith("nothing to write")
