"""`videobert files`: every file below a source is accounted for."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Refused, Told
from tests.small_root import BATCHES, SmallRoot


def _counted(lines: list[str]) -> int:
    return sum(int(line.split()[0].replace(",", "")) for line in lines if not line.startswith(" " * 9))


def test_every_file_is_counted_once(told: Told, small_root: SmallRoot) -> None:
    files = [path for path in (small_root.folder / "corpus" / "videos" / BATCHES[0]).rglob("*") if path.is_file()]
    lines = told("files", "--root", small_root.root, "--batch", BATCHES[0], "--examples", "100")
    assert _counted(lines) == len(files) > 3
    assert all(any(path.name in line for line in lines) for path in files)


def test_one_state_with_few_examples(told: Told, small_root: SmallRoot) -> None:
    lines = told("files", "--root", small_root.root, "--batch", BATCHES[0], "--state", "taken", "--examples", "1")
    assert len(lines) == 2 and _counted(lines) > 1


def test_wrong_questions(refused: Refused, small_root: SmallRoot, tmp_path: Path) -> None:
    batch = ("--batch", BATCHES[0])
    assert "--state is 'lost'" in refused("files", "--root", small_root.root, *batch, "--state", "lost")
    assert "run `videobert stage ingest" in refused("files", "--root", str(tmp_path), *batch)
