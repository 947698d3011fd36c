"""The process behind `watcher.Watcher`: `python -m videobert.serve.watch_child` follows one file until it has ended.

Takes an order in JSON; answers in JSON, a line for each record, and a last one that says how it ended.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import videobert
from videobert.applications.watch import Watch, Watched
from videobert.errors import PipelineError
from videobert.serve.child import answering, take_order

__all__ = ["main"]

_MOST_TEXT = 1000
"""Characters of a text of a record, each of which the service keeps; a caption may hold megabytes."""


def main() -> None:
    """Take one order: the fields of `videobert watch`."""
    order = take_order()
    with answering() as say:
        try:
            for record in Watch(**order).answer(videobert.open(order["root"])):
                say(record=_told(record))
        except PipelineError as error:
            say(error=str(error))
        else:
            say(error="")


def _told(record: Watched) -> dict[str, Any]:
    """Without the vector, which no page shows."""
    told = {name: value for name, value in dataclasses.asdict(record).items() if name != "embedding"}
    return {name: value[:_MOST_TEXT] if isinstance(value, str) else value for name, value in told.items()}


if __name__ == "__main__":
    main()
