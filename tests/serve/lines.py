"""The lines that a page offers to copy, and what Python makes of them."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx

import videobert

__all__ = ["lines_of", "run_python"]

_LINE = re.compile(r'data-copy="([^"]*)" aria-label="Copy the line for ')


def lines_of(page: httpx.Response) -> list[str]:
    """What its copy buttons copy, ids left out."""
    assert page.status_code == 200, page.text
    return [html.unescape(line) for line in _LINE.findall(page.text)]


def run_python(line: str) -> Any:
    """The value of the last of its statements."""
    *before, last = line.split("; ")
    names: dict[str, Any] = {"videobert": videobert}
    for statement in before:
        exec(statement, names)
    return eval(last, names)
