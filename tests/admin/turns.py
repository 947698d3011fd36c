"""Several pieces of work over one root, one request to the storage at a time, in an order that a test chooses."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from videobert.runtime.storage import Store

__all__ = ["TurnStore", "take_turns"]

_SECONDS = 120.0
_POINTER = "models/current.json"
_COMMITS = (_POINTER, "embeddings/")
_LISTED = ("embeddings/", "features/")


class TurnStore(Store):
    """Waits for its turn before it reads or moves the pointer, commits embeddings, or looks which batches there are."""

    def __init__(self, root: str, wait: Callable[[], None]) -> None:
        super().__init__(root)
        self._wait = wait

    def read_or_none(self, path: str) -> bytes | None:
        self._pause(path, _POINTER)
        return super().read_or_none(path)

    def list(self, folder: str) -> dict[str, int]:
        self._pause(folder, *_LISTED)
        return super().list(folder)

    def write(self, path: str, content: bytes | Path) -> None:
        self._pause(path, *_COMMITS)
        super().write(path, content)

    def commit(self, path: str, data: bytes, *, former: bytes | None) -> None:
        """Not in the middle: files are compared and written under a lock, for which the others would wait."""
        self._pause(path, *_COMMITS)
        super().commit(path, data, former=former)

    def _pause(self, path: str, *places: str) -> None:
        if path.startswith(places):
            self._wait()


def take_turns(
    works: Sequence[Callable[[Callable[[], None]], None]], order: Sequence[int]
) -> list[BaseException | None]:
    """Run all; each is given a function that waits for its turn. Returns what each raised.

    The numbers of `order` choose, modulo how many are left, who goes on until it waits again or ends; after them the
    first that is left does.
    """
    turns = [threading.Semaphore(0) for _ in works]
    raised: list[BaseException | None] = [None] * len(works)
    stopped: queue.Queue[tuple[int, bool]] = queue.Queue()
    ours = threading.local()

    def wait() -> None:
        number = getattr(ours, "number", None)
        if number is not None:  # the storage's own threads take no turns
            stopped.put((number, False))
            turns[number].acquire()

    def run(number: int) -> None:
        ours.number = number
        try:
            wait()
            works[number](wait)
        except BaseException as error:  # handed to the test, which judges it
            raised[number] = error
        finally:
            stopped.put((number, True))

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(works))]
    for thread in threads:
        thread.start()
    left = sorted(stopped.get(timeout=_SECONDS)[0] for _ in works)
    chosen = iter(order)
    while left:
        turns[left[next(chosen, 0) % len(left)]].release()
        number, ended = stopped.get(timeout=_SECONDS)
        if ended:
            left.remove(number)
    for thread in threads:
        thread.join()
    return raised
