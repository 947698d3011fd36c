"""`videobert --help` and the help of every command."""

from __future__ import annotations

import re
import shlex

import pytest

from videobert.application import application_names
from videobert.cli.main import COMMANDS, load_command, main, parse_command


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_shows_the_command_and_every_flag(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and f"usage: videobert {name}" in text


OURS = (
    "status", "search", "sql", "index", "lineage", "forecast", "text-to-video", "dead-letters", "models", "trigger",
    "backfill", *application_names(),
)  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_help_gives_a_command_line_that_parses(name: str) -> None:
    command = load_command(name)
    examples = re.findall(rf"^ +videobert {name}\b.*$", command.__doc__ or "", flags=re.MULTILINE)
    assert examples, f"{name} shows no example"
    for example in examples:
        assert type(parse_command(shlex.split(example)[1:])) is command
