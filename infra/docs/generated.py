"""Which file of the documentation comes from which function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from infra.docs.commands import render_commands
from infra.docs.flow import render_flow
from infra.docs.root_methods import render_root_methods

__all__ = ["FILES", "REPOSITORY"]

REPOSITORY = Path(__file__).resolve().parents[2]

FILES: Mapping[str, Callable[[], str]] = {
    "docs/images/flow.svg": render_flow,
    "docs/commands.md": render_commands,
    "pipeline/videobert/root_methods.py": render_root_methods,
}
"""Path in the repository -> its text."""
