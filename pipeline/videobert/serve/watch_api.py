"""Files that grow, watched for readers: which there are, what has come of one, and what comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from videobert.serve.parameters import WatchCursor, WatchersOf, WatchId
from videobert.serve.records import Sentence, WatchFiles, WatchState
from videobert.serve.watcher import Watcher
from videobert.serve.watchers import Watchers

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", responses={status: {"model": Sentence} for status in (400, 401, 404, 429, 503)})
_MOST_STREAMS = 16
"""Answers that go on: each is one of the requests that the service takes at the same time."""
_LOOK_SECONDS = 0.25


@router.get("/watch")
def files(watchers: WatchersOf) -> WatchFiles:
    """The files that the operator allows to be watched, the 200 that grew last."""
    return watchers.files()


@router.get("/watch/{file_id}")
def state(watchers: WatchersOf, file_id: WatchId, after: WatchCursor) -> WatchState:
    """What has come of a file since `after`. Watching begins with the first who asks, and ends after the last."""
    return watchers.watcher(file_id).since(after)


@router.get("/watch/{file_id}/lines", response_class=Response)
def lines(watchers: WatchersOf, file_id: WatchId) -> StreamingResponse:
    """Records as JSON lines, as they come, until the file has ended; a last line with `error` where it did not."""
    with ExitStack() as stack:
        stack.enter_context(watchers.stream(_MOST_STREAMS))
        watcher = watchers.watcher(file_id)
        return _Lines(watchers, watcher, stack.pop_all())


class _Lines(StreamingResponse):
    """Closes `stack` at its end, whether a line was asked for or not."""

    def __init__(self, watchers: Watchers, watcher: Watcher, stack: ExitStack) -> None:
        super().__init__(_lines(watchers, watcher), media_type="application/x-ndjson")
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._stack:
            await super().__call__(scope, receive, send)


async def _lines(watchers: Watchers, watcher: Watcher) -> AsyncIterator[str]:
    found = watcher.since("")
    while True:
        for record in found.records:
            yield json.dumps(asdict(record)) + "\n"
        if found.state != "running" or watchers.are_closing:
            break
        await asyncio.sleep(_LOOK_SECONDS)
        found = watcher.since(found.cursor)
    if found.state != "ended":
        yield json.dumps({"error": found.error or "the service ends; ask again when another runs"}) + "\n"
