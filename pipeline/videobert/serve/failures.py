"""Errors as answers: one sentence of value, cause and cure, and nothing of what is inside."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from videobert.errors import InputError, PipelineError, VideoError
from videobert.serve.answers import NotFoundError
from videobert.serve.footage import UnplayableError
from videobert.serve.jobs import BusyError

__all__ = ["install_error_handlers"]

_LOG = logging.getLogger("videobert.serve")
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotFoundError, 404), (UnplayableError, 406), (BusyError, 503), (InputError, 400), (VideoError, 422),
    (PipelineError, 500), (OSError, 503),
)  # fmt: skip
Render = Callable[[Request, int, str], Response]


def install_error_handlers(app: FastAPI, render: Render) -> None:
    """`render` makes the answer below the page; below `/api` it is JSON."""

    def answer(request: Request, status: int, told: str) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": told}, status_code=status)
        return render(request, status, told)

    def handle(request: Request, error: Exception) -> Response:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        told = str(error) if isinstance(error, PipelineError) else "storage failed; ask again, and see the log"
        if not isinstance(error, PipelineError):
            _LOG.error(json.dumps({"error": type(error).__name__, "message": str(error)}))
        refusal = answer(request, status, told)
        if status == 503:
            refusal.headers["retry-after"] = "1"
        return refusal

    def refuse(request: Request, error: Exception) -> Response:
        """What FastAPI refuses by itself, in the same form and without repeating what was sent."""
        if isinstance(error, RequestValidationError):
            return answer(request, 422, "; ".join(f"{e['loc'][-1]}: {e['msg']}" for e in error.errors()))
        assert isinstance(error, HTTPException)
        return answer(request, error.status_code, "nothing is here" if error.status_code == 404 else error.detail)

    for kind, _ in _STATUS:
        app.add_exception_handler(kind, handle)
    for kind in (RequestValidationError, HTTPException):
        app.add_exception_handler(kind, refuse)
