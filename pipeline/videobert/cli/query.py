"""`videobert search`, `sql` and `lineage`: what is in the embeddings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import duckdb
import numpy as np
import tyro
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.query.embeddings import open_embeddings, resolve_embed_spec
from videobert.query.filters import RowFilter
from videobert.query.index import nearest_in_lists
from videobert.query.lineage import trace
from videobert.query.model import open_model
from videobert.query.search import Hit, nearest, vector_of_row
from videobert.query.sql import run_sql
from videobert.query.text import encode_query, rerank
from videobert.runtime.storage import Store

__all__ = ["LineageCommand", "SearchCommand", "SqlCommand"]


@dataclass(frozen=True, kw_only=True)
class SearchCommand:
    """Find segments by a sentence, or those like a row."""

    text: tyro.conf.Positional[str] = ""
    """What to look for, such as "stir the egg"."""
    root: str
    """Root of the pipeline."""
    like: str = ""
    """Row to compare with instead of a text: VIDEO_ID:SEGMENT, of any batch."""
    top: int = 5
    """How many to show."""
    rerank: int = 0
    """Put this many of the nearest rows in the order of the alignment head, which reads text and video together."""
    batch: str = ""
    """Only these batches, separated by commas."""
    video: str = ""
    """Only the video whose id begins so."""
    from_: Annotated[float, tyro.conf.arg(name="from")] = 0.0
    """Only rows that end after this second of their video."""
    to: float = float("inf")
    """Only rows that begin before this second of their video."""
    holding: Annotated[str, tyro.conf.arg(name="text")] = ""
    """Only rows in whose text these words stand, in either case."""
    model: str = "current"
    """Model spec; `current` is the promoted one."""
    probes: int = 0
    """Look only into so many lists of the index that `videobert index` built; 0 searches all rows, exactly."""
    json: bool = False
    """Print JSON lines."""

    def execute(self) -> None:
        if bool(self.text) == bool(self.like):
            raise InputError(
                "give either a text or --like ROW_ID, such as: videobert search 'stir the egg' --root demo"
            )
        if self.rerank < 0 or (self.rerank and self.like):
            raise InputError(f"--rerank {self.rerank} goes with a text and is not negative; leave it out with --like")
        where = RowFilter(video=self.video, from_seconds=self.from_, to_seconds=self.to, text=self.holding)
        store = Store(self.root)
        spec = resolve_embed_spec(store, self.model)
        batches = [key for key in self.batch.split(",") if key]
        rows = open_embeddings(store, spec, batches)

        def found(vector_R: NDArray[np.float32], top: int, where: RowFilter) -> list[Hit]:
            if self.probes:
                return nearest_in_lists(
                    store, spec, vector_R, top=top, probes=self.probes, where=where, batches=batches
                )
            return nearest(rows, vector_R, top=top, where=where)

        if self.like:
            level = "segment" if ":" in self.like else "video"
            where = replace(where, level=level, without=[self.like])
            everywhere = open_embeddings(store, spec) if batches else rows  # the row may be of another batch
            hits = found(vector_of_row(everywhere, self.like), self.top, where)
        else:
            opened = open_model(store, spec.rsplit(".", 1)[0])
            hits = found(encode_query(opened, self.text), max(self.top, self.rerank), where)
            hits = (rerank(opened, self.text, hits[: self.rerank]) + hits[self.rerank :])[: self.top]
        for hit in hits:
            print(json.dumps(asdict(hit)) if self.json else _hit_line(hit))


@dataclass(frozen=True, kw_only=True)
class SqlCommand:
    """Ask the tables `embeddings`, `catalog` and `dead_letters` with DuckDB's SQL."""

    query: tyro.conf.Positional[str]
    """For example: select batch, count(*) from embeddings group by batch."""
    root: str
    """Root of the pipeline."""
    model: str = "current"
    """Model whose embeddings are the table; `current` is the promoted one."""
    rows: int = 40
    """Most rows to print."""

    def execute(self) -> None:
        store = Store(self.root)
        try:
            spec: str | None = resolve_embed_spec(store, self.model)
        except InputError:
            if self.model != "current":
                raise
            spec = None  # nothing is promoted yet: the catalog and the dead letters can be asked all the same
        relation = run_sql(store, spec, self.query)
        if relation is None:
            return
        try:
            relation.show(max_rows=self.rows, max_width=160)
        except duckdb.Error as error:
            raise InputError(f"DuckDB stopped this query while it ran: {error}; correct it and ask again") from error


@dataclass(frozen=True, kw_only=True)
class LineageCommand:
    """Walk a row back: embeddings, model, codebook, tokens, features, shard, source."""

    row: tyro.conf.Positional[str]
    """Row id, as `search` prints it."""
    root: str
    """Root of the pipeline."""
    model: str = "current"
    """Model spec; `current` is the promoted one."""

    def execute(self) -> None:
        store = Store(self.root)
        for what, where in trace(store, resolve_embed_spec(store, self.model), self.row):
            print(f"{what:<11} {where}")


def _hit_line(hit: Hit) -> str:
    when = f"{hit.start_seconds:6.1f}-{hit.end_seconds:<6.1f}"
    return f"{hit.score:6.3f}  {hit.title:<28.28} {when} {hit.text[:60]!r:<40} {hit.row_id}"
