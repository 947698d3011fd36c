"""`videobert forecast` and `text-to-video`."""

from __future__ import annotations

from pathlib import Path

import videobert
from tests.cli.conftest import Refused, Told
from tests.small_root import SmallRoot


def test_a_forecast_is_told_and_drawn(told: Told, small_root: SmallRoot, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    row = videobert.open(small_root.root).search("stir the egg", top=1)[0].row_id
    lines = told("forecast", row, "--root", small_root.root, "--out", str(page), "--horizon", "2", "--top", "3")
    assert [line.split(":")[0] for line in lines] == [
        "seen",
        "clip 1 after it",
        "clip 2 after it",
        "what came",
        "pictures",
    ]
    assert lines[1].count("token") == 3
    assert row in page.read_text() and "data:image/png;base64," in page.read_text()


def test_a_video_for_a_sentence(told: Told, small_root: SmallRoot, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    lines = told("text-to-video", "stir <b>the egg", "--root", small_root.root, "--out", str(page), "--clips", "2")
    assert [line.split(":")[0] for line in lines] == ["clip 1", "clip 2", "pictures"]
    assert "stir &lt;b&gt;the egg" in page.read_text()


def test_what_is_not_there(refused: Refused, small_root: SmallRoot, tmp_path: Path) -> None:
    assert "hold the segment 'a:0'" in refused("forecast", "a:0", "--root", small_root.root)
    assert "holds no words" in refused("text-to-video", " ", "--root", small_root.root)
    assert "no model is promoted" in refused("forecast", "a:0", "--root", str(tmp_path))
