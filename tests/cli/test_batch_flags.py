"""Every flag that takes batch keys refuses what is none, before any work."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.cli.conftest import Refused
from videobert.cli.main import COMMANDS, load_command

HOSTILE = ("../../etc", "a b", "$(touch x)", "ключ", "k" * 300, ".hidden", "good,b/d")

# What each command needs besides.
NEEDED = {
    "run": ["VIDEOS"], "check": ["VIDEOS"], "stage": ["ingest"], "search": ["soup"], "replay": ["--where", "vanished"],
    "anomalies": ["--batch", "2026-01-02"], "moderate": ["--rules", "r.toml"], "recommend": ["--text", "soup"],
    "watch": ["--file", "v.ts"], "youcook": ["a.json"], "ask": ["ROW", "why"], "caption": ["ROW"],
}  # fmt: skip
FLAGS = [
    (name, field.name)
    for name in COMMANDS
    for field in dataclasses.fields(load_command(name))  # type: ignore[arg-type]  # every command is a dataclass
    if field.name in ("batch", "batches", "reference")
]


def test_they_were_found() -> None:
    assert len(FLAGS) > 14 and {"files", "stage", "trigger", "anomalies"} <= {name for name, _ in FLAGS}


@pytest.mark.parametrize(("command", "flag"), FLAGS)
def test_what_is_no_key_is_refused(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, flag: str
) -> None:
    monkeypatch.chdir(tmp_path)
    root = [] if command == "trigger" else ["--root", "nowhere"]
    for value in HOSTILE:
        assert "is no key" in refused(command, *NEEDED.get(command, []), *root, f"--{flag}", value), value
    assert list(tmp_path.iterdir()) == []
