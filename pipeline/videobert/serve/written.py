"""What applications wrote, next to the rows of the root that it speaks of."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, reduce
from operator import or_

from videobert.application import application_names, load_application
from videobert.errors import InputError
from videobert.query.application_tables import (
    TablePart,
    TableQuery,
    Value,
    WrittenTable,
    list_tables,
    read_table_part,
    table_summary,
)  # fmt: skip
from videobert.query.rows import ROW_COLUMNS, Row
from videobert.query.search import row_filter
from videobert.runtime.storage import Store
from videobert.runtime.tombstones import read_tombstone
from videobert.serve.answers import NotFoundError, links_of
from videobert.serve.fresh import FreshRoot
from videobert.serve.records import ApplicationPage, ApplicationRow, ApplicationTable, ApplicationTables

__all__ = ["Written", "is_row_id"]

_PAGE = 50
"""Tables of a page of their list: each is opened for its number of rows."""
_AT_ONCE = 16
_ROW_ID = re.compile(r"[A-Za-z0-9_-]{1,128}(:[0-9]{1,9})?")
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_DIGEST = re.compile(r"[0-9a-f]{64}(:[0-9]{1,9})?")
_SPEC = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class Written:
    """The tables below one folder, and the rows that they name."""

    def __init__(self, root: FreshRoot, folder: str) -> None:
        self._root, self._store = root, Store(folder) if folder else None

    @property
    def folder(self) -> str:
        """Where they lie; empty where nobody said."""
        return self._store.root if self._store else ""

    def tables(self, offset: int = 0) -> ApplicationTables:
        """One page of the list."""
        found = self._listed()
        shown = found[offset : offset + _PAGE]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            tables = list(pool.map(self._summary, shown))
        return ApplicationTables(
            folder=self.folder, about={name: about(name) for name in dict.fromkeys(t.application for t in shown)},
            tables=tables, total=len(found), next_offset=offset + _PAGE if offset + _PAGE < len(found) else None,
        )  # fmt: skip

    def page(self, application: str, table: str, asked: TableQuery, base: str) -> ApplicationPage:
        """Some rows of a table. Raises NotFoundError, and InputError for a column that it lacks."""
        part = self._part(application, table, asked)
        end = asked.offset + asked.top
        return ApplicationPage(
            application=application, table=table, about=about(application), columns=part.columns,
            none=part.none, rows=self._joined(part.rows, base), total=part.total, verdicts=part.verdicts,
            next_offset=end if end < part.total else None,
        )  # fmt: skip

    def _listed(self) -> list[WrittenTable]:
        store = self._store
        return self._root.remembered("applications", lambda: list_tables(store)) if store else []

    def _summary(self, one: WrittenTable) -> ApplicationTable:
        store = self._store
        assert store is not None
        key = ("application", one.application, one.table, one.written_at, one.size_bytes)
        rows, models, told = 0, list[str](), ""
        try:
            rows, models = self._root.remembered(key, lambda: table_summary(store, one.application, one.table))
        except (InputError, FileNotFoundError) as error:  # the others can be told all the same
            told = str(error) if isinstance(error, InputError) else "it is gone meanwhile"
        return ApplicationTable(
            application=one.application, table=one.table, rows=rows, models=models, size_bytes=one.size_bytes,
            written_at=one.written_at, error=told,
        )  # fmt: skip

    def _part(self, application: str, table: str, asked: TableQuery) -> TablePart:
        if self._store is None:
            raise NotFoundError(
                "this service was told of no tables; start it with --options.applications FOLDER, such as what "
                "VIDEOBERT_APPLICATIONS_OUT names"
            )
        folder = self._store.root

        def read() -> TablePart | None:
            try:
                return read_table_part(folder, application, table, asked)
            except FileNotFoundError:  # of this table alone: what else is remembered is as it was
                return None

        part = self._root.remembered(("application", application, table, asked), read, weigh=True)
        if part is not None:
            return part
        names = sorted({one.application for one in self._listed()})
        own = [one.table for one in self._listed() if one.application == application]
        there = f"its tables are {_some(own)}" if own else f"tables there are of {_some(names)}"
        raise NotFoundError(f"{application} has no table {table!r} below {folder}; {there}")

    def _joined(self, rows: Sequence[Mapping[str, Value]], base: str) -> list[ApplicationRow]:
        """With the rows of the embeddings that each names."""
        spec_of = {named: self._spec_of(named) for named in {_model_of(values) for values in rows}}
        specs = [spec_of[_model_of(values)] for values in rows]
        ids = [_row_id_of(values) for values in rows]
        known: dict[str, dict[str, Row]] = {}
        for spec in dict.fromkeys(spec for spec in specs if spec):
            own = [row_id for row_id, of in zip(ids, specs, strict=True) if row_id and of == spec]
            known[spec] = self._known(spec, {*own, *(row_id.partition(":")[0] for row_id in own)})
        return [
            self._row(values, row_id, spec, known.get(spec, {}), base)
            for values, row_id, spec in zip(rows, ids, specs, strict=True)
        ]

    def _row(
        self, values: Mapping[str, Value], row_id: str, spec: str, known: Mapping[str, Row], base: str
    ) -> ApplicationRow:
        video_id, found = row_id.partition(":")[0], known.get(row_id)
        named = {video_id, str(values.get("video_id") or "")} - {""}
        forgotten = found is None and any(map(self._is_forgotten, sorted(filter(_VIDEO_ID.fullmatch, named))))
        if forgotten:
            values = {name: value for name, value in values.items() if name in ("row_id", "video_id")}
        return ApplicationRow(
            values=values, model=spec, row=found, links=links_of(base, row_id, spec) if found else None,
            video_row_id=video_id if video_id in known else "", forgotten=forgotten,
        )  # fmt: skip

    def _spec_of(self, named: str) -> str:
        """Of the embeddings that rows were made from; empty: there are none."""
        try:
            return self._root.spec(named) if _SPEC.fullmatch(named) else ""
        except InputError:  # they were removed, and the table can be read all the same
            return ""

    def _known(self, spec: str, ids: set[str]) -> dict[str, Row]:
        def read() -> dict[str, Row]:
            if not ids:
                return {}
            wanted = reduce(or_, (row_filter(row_id) for row_id in sorted(ids)))
            found = self._root.embeddings(model=spec).to_table(columns=ROW_COLUMNS, filter=wanted)
            return {row["row_id"]: Row(**row) for row in found.to_pylist()}

        return self._root.remembered(("named", spec, frozenset(ids)), read, weigh=True)

    def _is_forgotten(self, video_id: str) -> bool:
        key = ("forgotten", video_id)
        return self._root.remembered(key, lambda: read_tombstone(self._root.store, video_id) is not None)


def _model_of(values: Mapping[str, Value]) -> str:
    """What a row says that it was made from; the promoted embeddings where it does not say."""
    return str(values.get("model") or "current")


def is_row_id(value: Value) -> bool:
    """Whether a value names a segment or a video, as `nearest` and `because` do, and may be linked."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


@cache
def about(application: str) -> str:
    """What an application does, in its own sentence; empty for one that is not installed."""
    if application not in application_names():
        return ""
    return (inspect.getdoc(load_application(application)) or "").partition("\n")[0]


def _row_id_of(values: Mapping[str, Value]) -> str:
    """The segment or video that a row is of; empty where it is of none."""
    named = str(values.get("row_id") or values.get("video_id") or "")
    return named if _ROW_ID.fullmatch(named) else ""


def _some(names: Iterable[str]) -> str:
    return ", ".join([*names][:10]) or "nothing"
