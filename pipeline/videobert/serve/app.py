"""The application: REST, page, health and metrics over one root. Any ASGI server runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from fastapi import FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse

import videobert
from videobert.serve import admin_api, api, uploads, watch_api
from videobert.serve.access import Access
from videobert.serve.answers import Answers
from videobert.serve.failures import install_error_handlers
from videobert.serve.footage import FootageServer
from videobert.serve.fresh import FreshRoot
from videobert.serve.gate import Gate
from videobert.serve.jobs import Jobs
from videobert.serve.metrics import Metrics
from videobert.serve.options import ServeOptions
from videobert.serve.pages import add_pages, problem_page
from videobert.serve.replays import Replays
from videobert.serve.scratch import Scratch
from videobert.serve.watchers import Watchers
from videobert.serve.written import Written

__all__ = ["create_app"]


def create_app(
    root: str, access: Access, options: ServeOptions | None = None, *, admin: Access | None = None, recipe: str = ""
) -> FastAPI:
    """An application over a root; whoever shows the token of `admin` may promote, roll back and replay by `recipe`.

    It reads nothing before it is asked, and cleans up when the server shuts down."""
    options = options or ServeOptions()
    fresh = FreshRoot(root, fresh_seconds=options.fresh_seconds, models=options.models, warm_bytes=options.warm_bytes)
    scratch, replays = Scratch(), Replays(fresh.url, recipe)
    footage, metrics, jobs = FootageServer(fresh, scratch, options), Metrics(), Jobs(fresh.url, options)
    watchers = Watchers(fresh, scratch, options)

    @cache  # once, whether the server has had the time to end or not
    def close() -> None:
        watchers.close()
        jobs.close()
        replays.close()
        footage.close()
        scratch.close()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(close)

    app = FastAPI(
        title="VideoBERT", version=videobert.__version__, lifespan=lifespan, openapi_url="/api/openapi.json",
        docs_url=None, redoc_url=None,  # both load scripts from outside
    )  # fmt: skip
    app.state.answers = Answers(fresh, footage, options)
    app.state.written = Written(fresh, options.applications)
    app.state.watchers = watchers
    app.state.jobs, app.state.scratch, app.state.replays = jobs, scratch, replays
    app.state.close = close
    app.include_router(api.router)
    app.include_router(uploads.router)
    app.include_router(watch_api.router)
    app.state.admin = admin
    app.include_router(admin_api.router)
    _add_operations(app, fresh, footage, metrics)
    add_pages(app)
    install_error_handlers(app, problem_page)
    app.add_middleware(Gate, access=access, admin=admin, options=options, metrics=metrics)
    return app


def _add_operations(app: FastAPI, root: FreshRoot, footage: FootageServer, metrics: Metrics) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> PlainTextResponse:
        """The process answers."""
        return PlainTextResponse("ok")

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> Response:
        """The root can be read and has a promoted model."""
        try:
            ready = root.remembered("ready", lambda: root.current) is not None
        except Exception:  # whatever it is, requests would meet it too
            ready = False
        return PlainTextResponse("ready" if ready else "not ready", status_code=200 if ready else 503)

    @app.get("/metrics", include_in_schema=False)
    def prometheus() -> Response:
        """For Prometheus, which sends the token as a bearer."""
        metrics.cache_bytes.set(footage.cache.bytes)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")
