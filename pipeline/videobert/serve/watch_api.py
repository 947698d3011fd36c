"""Files that grow, watched for readers: which there are, what has come of one, and what comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from videobert.serve.jobs import BusyError
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
    """Records as JSON lines, as they come, until the file has ended; a last line with `error` where that failed."""
    if watchers.streams >= _MOST_STREAMS:
        raise BusyError(f"{_MOST_STREAMS} readers follow files already; ask again later, or for what has come so far")
    return StreamingResponse(_lines(watchers, watchers.watcher(file_id)), media_type="application/x-ndjson")


async def _lines(watchers: Watchers, watcher: Watcher) -> AsyncIterator[str]:
    watchers.streams += 1
    try:
        found = watcher.since("")
        while True:
            for record in found.records:
                yield json.dumps(asdict(record)) + "\n"
            if found.state != "running" or watchers.are_closing:
                break
            await asyncio.sleep(_LOOK_SECONDS)
            found = watcher.since(found.cursor)
        if found.error:
            yield json.dumps({"error": found.error}) + "\n"
    finally:
        watchers.streams -= 1
