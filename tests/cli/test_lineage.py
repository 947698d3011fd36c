"""`videobert lineage`."""

from __future__ import annotations

import json
from pathlib import Path

import videobert
from tests.cli.conftest import Refused, Told
from tests.small_root import SmallRoot
from videobert.runtime.storage import file_sha256


def test_every_line_leads_to_a_file_of_that_digest(told: Told, small_root: SmallRoot) -> None:
    row = videobert.open(small_root.root).search("stir the egg", top=1)[0].row_id
    lines = told("lineage", row, "--root", small_root.root)
    names = ["row", "embed", "pretrain", "tokens", "codebook", "features", "shard", "ingest", "video", "source"]
    assert [line.split()[0] for line in lines] == names
    assert Path(lines[-1].split(maxsplit=1)[1].removeprefix("file://")).is_file()
    found = json.loads("".join(told("lineage", row, "--root", small_root.root, "--json")))
    files = {step["stage"]: (Path(step["url"].removeprefix("file://")), step["sha256"]) for step in found["steps"]}
    assert {stage for stage, (_, digest) in files.items() if digest} == {"embed", "tokens", "features", "shard"}
    for path, digest in files.values():
        assert path.is_file() and digest in ("", file_sha256(path))
    assert found["row_id"] == row and row.startswith(found["video_id"])


def test_an_unknown_row(refused: Refused, small_root: SmallRoot) -> None:
    assert "no row 'a:0'" in refused("lineage", "a:0", "--root", small_root.root)
