"""A template with what every page shows."""

from __future__ import annotations

from typing import Any

from fastapi.responses import HTMLResponse

from videobert.serve.answers import Answers
from videobert.visualization.environment import page_environment

__all__ = ["render_page"]


def render_page(answers: Answers, base: str, template: str, here: str, **given: Any) -> HTMLResponse:
    """`here` is the page of the navigation that it belongs to; empty: none."""
    known = {"base": base, "here": here, "root": answers.root.url, "model": ""}
    return HTMLResponse(page_environment("videobert.serve").get_template(template).render(known | given))
