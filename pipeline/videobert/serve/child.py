"""What the processes that work for requests have in common: an order in JSON comes, lines in JSON go."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["answering", "take_order"]


def take_order() -> dict[str, Any]:
    """The first line of standard input. When that ends, so does this process, whatever it does."""
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_service, daemon=True).start()
    return order


@contextmanager
def answering() -> Iterator[Callable[..., None]]:
    """Says its keywords as a line of standard output, which nobody else writes to meanwhile."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a library prints is no answer

        def say(**told: object) -> None:
            answers.write(json.dumps(told) + "\n")
            answers.flush()

        yield say


def _end_with_the_service() -> None:
    """Its end of the pipe closes when it is killed; what nobody waits for would go on for an hour."""
    sys.stdin.read()
    os._exit(1)
