"""The pages of files that are watched while they grow."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from videobert.serve.lines import watch_lines
from videobert.serve.parameters import AnswersOf, Base, WatchCursor, WatchersOf, WatchId
from videobert.serve.render import render_page

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/watch")
def list_page(answers: AnswersOf, watchers: WatchersOf, base: Base) -> Response:
    """The files that may be watched."""
    return render_page(answers, base, "watch.html", "/watch", found=watchers.files())


@router.get("/watch/{file_id}")
def file_page(
    answers: AnswersOf, watchers: WatchersOf, file_id: WatchId, base: Base, after: WatchCursor, part: bool = False
) -> Response:
    """What has come of one of them, the newest first; `part` is the rows that came since `after`."""
    watcher = watchers.watcher(file_id)
    found = watcher.since(after)
    return render_page(
        answers, base, "watched_part.html" if part else "watched.html", "/watch", file_id=file_id, found=found,
        most=watchers.most_records, alarms=watchers.per_hour > 0,
        commands=watch_lines(answers.root.url, str(watcher.path), follow=watcher.follow, per_hour=watchers.per_hour),
    )  # fmt: skip
