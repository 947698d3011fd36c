"""How pages are made, those of the service and those that are files: one style, the same parts, everything escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from videobert.visualization.filters import FILTERS

__all__ = ["COPY_SCRIPT_HASH", "STYLE", "data_url", "page_environment", "render_file"]

STYLE = Path(__file__).with_name("static") / "page.css"
_COPY_SCRIPT = (Path(__file__).with_name("static") / "copy.js").read_text()
COPY_SCRIPT_HASH = f"sha256-{base64.b64encode(hashlib.sha256(_COPY_SCRIPT.encode()).digest()).decode()}"
"""Of the one script in a page that is a file: its policy allows this one and no other."""


@cache
def page_environment(package: str) -> Environment:
    """Templates of a package, and those that all share: `standalone.html` and `parts.html`."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("videobert.visualization")]), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(FILTERS)
    return environment


def render_file(package: str, template: str, given: Mapping[str, Any]) -> bytes:
    """A page that needs nothing else, with style and script in it; the template extends `standalone.html`."""
    ours = {"style": Markup(STYLE.read_text()), "script": Markup(_COPY_SCRIPT), "script_hash": COPY_SCRIPT_HASH}  # noqa: S704 - files of this package
    return page_environment(package).get_template(template).render({**given, **ours}).encode()


def data_url(data: bytes, kind: str = "image/png") -> str:
    """A picture as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
