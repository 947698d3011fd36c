"""A root that many requests ask: what was read a moment ago is not read again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from videobert.api import DeadLetter, Hit, Lineage, ModelInfo, Root, StageStatus
from videobert.query.embeddings import resolve_embed_spec
from videobert.query.model import OpenModel, open_model
from videobert.runtime.storage import Store

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["FreshRoot"]

_MOST_REMEMBERED = 4096
T = TypeVar("T")


class FreshRoot(Root):
    """`Root` with answers that are at most so many seconds old. A file that is gone meanwhile is looked for again."""

    def __init__(self, root: str, *, fresh_seconds: float, models: int) -> None:
        super().__init__(root)
        self._fresh, self._most_models = fresh_seconds, models
        self._known: OrderedDict[Any, tuple[float, Any]] = OrderedDict()
        self._opened: OrderedDict[str, OpenModel] = OrderedDict()
        self._lock, self._loading = threading.Lock(), threading.Lock()

    @property
    def store(self) -> Store:
        """The storage below it."""
        return self._store

    def spec(self, model: str) -> str:
        """The embeddings that a request asks, from its first to its last byte: of a promotion it sees all or nothing.

        Raises InputError as `resolve_embed_spec` does.
        """
        return self._remembered(("spec", model), lambda: resolve_embed_spec(self._store, model))

    def search(self, *question: Any, **filters: Any) -> list[Hit]:
        """See `Root.search`."""
        return self._twice(lambda: super(FreshRoot, self).search(*question, **filters))

    def lineage(self, row: str, *, model: str = "current") -> Lineage:
        """See `Root.lineage`."""
        return self._remembered(("lineage", row, model), lambda: super(FreshRoot, self).lineage(row, model=model))

    def status(self) -> list[StageStatus]:
        """See `Root.status`."""
        return self._remembered("status", super().status)

    def models(self) -> list[ModelInfo]:
        """See `Root.models`."""
        return self._remembered("models", super().models)

    def all_dead_letters(self) -> list[DeadLetter]:
        """See `Root.dead_letters`."""
        return self._remembered("letters", super().dead_letters)

    def remembered(self, key: Any, read: Callable[[], T]) -> T:
        """What `read` found a moment ago, or finds now."""
        return self._remembered(key, lambda: self._twice(read))

    def _rows(self, spec: str, batches: Sequence[str]) -> ds.Dataset:
        return self._remembered(("rows", spec, tuple(batches)), lambda: super(FreshRoot, self)._rows(spec, batches))

    def _twice(self, read: Callable[[], T]) -> T:
        """Readers of files that a commit has just replaced open those that took their place."""
        try:
            return read()
        except FileNotFoundError:
            with self._lock:
                self._known.clear()
            return read()

    def _remembered(self, key: Any, read: Callable[[], T]) -> T:
        now = time.monotonic()
        with self._lock:
            at, value = self._known.get(key, (-1e9, None))
        if now - at < self._fresh:
            return cast(T, value)
        found = read()
        with self._lock:
            self._known[key] = (now, found)
            self._known.move_to_end(key)
            while len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return found

    def _model_of(self, embed_spec: str) -> OpenModel:
        """Loaded once, by whoever asks first; what a spec names does not change."""
        spec = embed_spec.rsplit(".", 1)[0]
        with self._loading:
            if spec not in self._opened:
                self._opened[spec] = open_model(self._store, spec)
            self._opened.move_to_end(spec)
            while len(self._opened) > self._most_models:
                self._opened.popitem(last=False)
            return self._opened[spec]
