"""Every command in the documentation is one that its program takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.material import PAGES, REPOSITORY, Block, blocks, command_lines
from tests.docs.programs import check_command
from videobert.errors import InputError

SHELL = blocks("bash", "sh", "shell", "console")


@pytest.fixture(autouse=True)
def folder_with_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with the recipe of the page on configuration, as its commands expect."""
    [recipe] = [block for block in blocks("toml") if block.page == "docs/configuration.md"]
    (tmp_path / "recipe.toml").write_text(recipe.text)
    monkeypatch.chdir(tmp_path)


def test_there_are_commands_to_check() -> None:
    assert len(SHELL) > 30
    assert {block.page for block in SHELL} >= {"README.md", "CONTRIBUTING.md", "docs/quickstart.md"}


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_every_command_is_taken_by_its_program(block: Block) -> None:
    for words in command_lines(block):
        try:
            check_command(words)
        except SystemExit as error:
            pytest.fail(f"{' '.join(words)}: refused with exit code {error.code}")


@pytest.mark.parametrize(
    "line",
    [
        "videobert search 'stir the egg' --root demo --no-such-flag 3",
        "videobert no-such-command",
        "make no-such-target",
        "python -m tests.benchmarks.codebook --no-such-option",
        "pip install 'videobert-pipeline[no-such-extra]'",
        "pytest tests/no-such-folder",
        "no-such-program",
    ],
)
def test_a_command_that_is_wrong_is_found(line: str) -> None:
    [words] = command_lines(Block(page="", line=0, language="bash", text=line, not_run=""))
    with pytest.raises((AssertionError, SystemExit, InputError)):
        check_command(words)


def test_inline_commands_name_what_exists() -> None:
    """`make X` and `python -m X` in running text and in tables."""
    for path in PAGES:
        if path.name == "CHANGELOG.md":  # tells of names that are gone
            continue
        for found in re.findall(r"`((?:make|python -m) [^`]+)`", path.read_text()):
            [words] = command_lines(Block(page="", line=0, language="bash", text=found, not_run=""))
            check_command(words)


def test_readme_is_one_page() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 150
