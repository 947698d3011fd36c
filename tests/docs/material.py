"""The Markdown of the repository as blocks and lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "REPOSITORY", "Block", "blocks", "command_lines", "page_name"]

REPOSITORY = Path(__file__).resolve().parents[2]

PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *REPOSITORY.glob("infra/*.md"),
                REPOSITORY / "operators" / "README.md"])  # fmt: skip
"""Every page that a person reads."""

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_NOT_RUN = re.compile(r"<!-- not run: (.+) -->\s*$")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    not_run: str
    """Why it cannot run here, from the comment before it; empty: it can."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def page_name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def blocks(*languages: str) -> list[Block]:
    """Every block in one of these languages."""
    return [block for path in PAGES for block in _blocks(path) if block.language in languages]


def _blocks(path: Path) -> Iterator[Block]:
    page = path.read_text()
    for found in _FENCE.finditer(page):
        indent = len(found["indent"])
        reason = _NOT_RUN.search(page[: found.start()])
        yield Block(
            page=page_name(path),
            line=page.count("\n", 0, found.start()) + 1,
            language=found["language"],
            text="".join(line[indent:] for line in found["text"].splitlines(keepends=True)),
            not_run=reason[1] if reason else "",
        )


def command_lines(block: Block) -> list[list[str]]:
    """The commands of a shell block as words: comments gone, lines joined, here-documents left out, pipes split."""
    text = re.sub(r"<<'(\w+)'\n.*?^\1$", "", block.text, flags=re.MULTILINE | re.DOTALL)
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        words: list[str] = []
        for word in shlex.split(line, comments=True):
            if word in ("|", "&&", "||", ";"):
                found.append(words)
                words = []
            else:
                words.append(word)
        found.append(words)
    return [words for words in found if words]
