"""`videobert status` and `dead-letters`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Told
from tests.small_root import BATCHES, SmallRoot


def test_every_commit_has_a_line_and_the_last_names_the_model(told: Told, small_root: SmallRoot) -> None:
    lines = told("status", "--root", small_root.root)
    assert all(any(line.split()[:3] == [stage, BATCHES[0], spec] for line in lines)
               for stage, spec in small_root.specs.items() if stage in ("ingest", "tokens", "embed"))  # fmt: skip
    assert any(line.split()[:3] == ["codebook", "corpus", small_root.specs["codebook"]] for line in lines)
    assert lines[-1] == f"current   {small_root.specs['pretrain']}"


def test_an_empty_root_has_nothing(told: Told, tmp_path: Path) -> None:
    assert told("status", "--root", str(tmp_path)) == ["current   none: no model is promoted"]
    assert told("dead-letters", "--root", str(tmp_path)) == ["no dead letters"]


def test_what_began_is_told(told: Told, copied: SmallRoot) -> None:
    Path(copied.root, "tokens", copied.specs["tokens"], f"batch={BATCHES[1]}", "_manifest.json").unlink()
    (line,) = (line for line in told("status", "--root", copied.root) if "begun" in line)
    assert line.split()[:3] == ["tokens", BATCHES[1], copied.specs["tokens"]]


def test_dead_letters_by_reason_with_examples(told: Told, small_root: SmallRoot) -> None:
    lines = told("dead-letters", "--root", small_root.root)
    counts = [line for line in lines if not line.startswith("       ")]
    assert sum(int(line.split()[0]) for line in counts) == len(lines) - len(counts) > 0
    few = told("dead-letters", "--root", small_root.root, "--examples", "0", "--batch", BATCHES[0])
    assert 0 < sum(int(line.split()[0]) for line in few) <= sum(int(line.split()[0]) for line in counts)
