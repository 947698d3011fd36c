"""What somebody who has just made a root types next."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from videobert.flow import StageResult
from videobert.runtime.storage import Store

__all__ = ["what_next"]


def what_next(store: Store, results: Iterable[StageResult]) -> Iterator[str]:
    """Lines for the end of a run, given the results of all of its stages."""
    root = store.root.removeprefix("file://")
    option = f"--root {shlex.quote(root)}"
    refused = words = 0
    batches: list[str] = []
    for result in results:
        if result.stage == "ingest":
            batches.append(result.batch)
        refused += result.counts.get("rejects", 0)
        words += result.counts.get("words", 0)
        if result.stage == "evaluate":
            yield f"report    {root}/reports/{result.spec}/report.html"
    yield f"files     videobert files {option} --batch {shlex.quote(batches[0])}"
    if refused:
        yield f"refused   videobert dead-letters {option}    ({refused:,} files could not be used)"
    if words:
        yield f"search    videobert search 'some words' {option}"
    else:
        yield f"search    videobert search --file PICTURE_OR_VIDEO {option}    (no video has text)"
