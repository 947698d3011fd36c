"""A root that many requests ask: what was read a moment ago is not read again."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from videobert.api import DeadLetter, Hit, Lineage, ModelInfo, Root, StageStatus
from videobert.errors import InputError
from videobert.query.embeddings import embedding_dimension, embedding_manifests, open_files, resolve_embed_spec
from videobert.query.filters import RowFilter
from videobert.query.held_lists import HeldLists
from videobert.query.index import load_index
from videobert.query.model import OpenModel, open_model
from videobert.query.times import CommitTime, commit_times
from videobert.query.warm import WarmRows
from videobert.runtime.manifest import Output
from videobert.runtime.spec import digest
from videobert.runtime.storage import Store
from videobert.serve.remembered import NOTHING, Remembered, bytes_of

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["FreshRoot"]

_LOG = logging.getLogger("videobert")
_MOST_REMEMBERED = 4096
_MOST_REMEMBERED_BYTES = 64 << 20
"""Of answers that hold what others wrote, whose texts may be of any length."""
T = TypeVar("T")


class FreshRoot(Root):
    """`Root` with answers that are at most so many seconds old. A file that is gone meanwhile is looked for again."""

    def __init__(self, root: str, *, fresh_seconds: float, models: int, warm_bytes: int = 0) -> None:
        super().__init__(root)
        self._most_models, self._warm_bytes = models, warm_bytes
        self._warm: dict[str, tuple[str, WarmRows | None]] = {}
        self._warming: threading.Thread | None = None
        self._known = Remembered(seconds=fresh_seconds, most=_MOST_REMEMBERED, most_bytes=_MOST_REMEMBERED_BYTES)
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

    def commit_times(self) -> dict[tuple[str, str, str], CommitTime]:
        """(stage, spec, batch) -> when it was committed."""
        return self._remembered("times", lambda: {(t.stage, t.spec, t.batch): t for t in commit_times(self._store)})

    def models(self) -> list[ModelInfo]:
        """See `Root.models`."""
        return self._remembered("models", super().models)

    def all_dead_letters(self) -> list[DeadLetter]:
        """See `Root.dead_letters`."""
        return self._remembered("letters", super().dead_letters)

    @property
    def remembered_bytes(self) -> int:
        """Of the answers that are weighed and kept."""
        return self._known.bytes

    def remembered(self, key: Any, read: Callable[[], T], *, weigh: bool = False) -> T:
        """What `read` found a moment ago, or finds now; `weigh` bounds such answers together by their bytes."""
        return self._remembered(key, lambda: self._twice(read), weigh=weigh)

    def opened(self, spec: str) -> OpenModel:
        """The model of these embeddings; loaded once, by whoever asks first."""
        return self._model_of(spec)

    def _labelled(self, spec: str, label: str) -> frozenset[str]:
        return self._remembered(("labelled", spec, label), lambda: super(FreshRoot, self)._labelled(spec, label))

    def _rows(self, spec: str, batches: Sequence[str]) -> ds.Dataset:
        return self._remembered(("rows", spec, tuple(batches)), lambda: super(FreshRoot, self)._rows(spec, batches))

    def _nearest(
        self, spec: str, batches: Sequence[str], rows: ds.Dataset, vector_R: NDArray[np.float32], *, top: int,
        probes: int, where: RowFilter, words: frozenset[str],
    ) -> list[Hit]:  # fmt: skip
        """From memory where they are there; until then, and of some batches only, from the files or their index."""
        warm = None if batches else self._warm_rows(spec, rows)
        if warm is None:
            return super()._nearest(spec, batches, rows, vector_R, top=top, probes=probes, where=where, words=words)
        return warm.nearest(vector_R, top=top, where=where, words=words, probes=probes)

    def _warm_rows(self, spec: str, rows: ds.Dataset) -> WarmRows | None:
        """Those of the committed files of now; None while a thread still reads them, or where they are too many."""
        wanted = self._remembered(("bytes", spec), lambda: self._digest(spec))
        with self._lock:
            known, warm = self._warm.get(spec, ("", None))
            if known == wanted or (self._warming is not None and self._warming.is_alive()):
                return warm if known == wanted else None
            self._warming = threading.Thread(target=self._warm_up, args=(spec, wanted), daemon=True)
        self._warming.start()
        return None

    def _warm_up(self, spec: str, wanted: str) -> None:
        found = None
        with suppress(FileNotFoundError):  # a commit has just replaced a file: the next request tries again
            current = self._current(spec)
            rows = open_files(self._store, spec, [output.path for output in current])
            if WarmRows.bytes_of(rows, embedding_dimension(rows)) <= self._warm_bytes:
                found = WarmRows(rows, self._lists(spec, current, rows))
            if self._digest(spec) == wanted:  # so that what was read is what was wanted
                with self._lock:
                    others = [(name, held) for name, held in self._warm.items() if name != spec]
                    self._warm = dict([*others[-1:], (spec, (wanted, found))])

    def _lists(self, spec: str, current: Sequence[Output], rows: ds.Dataset) -> HeldLists | None:
        """Of the index of these files, whose rows they are, if there is one that can be read."""
        try:
            index = load_index(self._store, spec)
            return HeldLists(self._store, index, current, rows) if index else None
        except (InputError, FileNotFoundError) as error:
            _LOG.warning("search: the index is left out, all rows are compared: %s", error)
            return None

    def _digest(self, spec: str) -> str:
        """Of the bytes of the committed files and of their index."""
        outputs = self._current(spec)
        with suppress(InputError):  # a broken index is as good as none: searches need it for their speed alone
            index = load_index(self._store, spec)
            outputs += index.outputs if index else ()
        return digest([output.sha256 for output in outputs])

    def _current(self, spec: str) -> list[Output]:
        """The committed files of now."""
        return [output for manifest in embedding_manifests(self._store, spec) for output in manifest.outputs]

    def _twice(self, read: Callable[[], T]) -> T:
        """Readers of files that a commit has just replaced open those that took their place."""
        try:
            return read()
        except FileNotFoundError:
            self._known.clear()
            return read()

    def _remembered(self, key: Any, read: Callable[[], T], *, weigh: bool = False) -> T:
        now = time.monotonic()
        known = self._known.get(key, now)
        if known is not NOTHING:
            return cast(T, known)
        found = read()
        self._known.keep(key, now, found, bytes_of(found) if weigh else 0)
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
