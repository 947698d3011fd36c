"""Which file of the documentation comes from which function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from infra.docs.commands import render_commands
from infra.docs.flow import render_flow

__all__ = ["FILES", "REPOSITORY"]

REPOSITORY = Path(__file__).resolve().parents[2]

FILES: Mapping[str, Callable[[], str]] = {
    "docs/images/flow.svg": render_flow,
    "docs/commands.md": render_commands,
}
"""Path in the repository -> its text."""
