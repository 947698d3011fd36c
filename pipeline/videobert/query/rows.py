"""Single rows of the embeddings, without their vectors."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.compute as pc
import pyarrow.dataset as ds

from videobert.query.search import row_filter

__all__ = ["ROW_COLUMNS", "Row", "read_row", "rows_of_video"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A segment, or a whole video. Its texts come from captions and file names: do not trust them."""

    row_id: str
    level: str
    """`segment` or `video`."""
    video_id: str
    start_seconds: float
    end_seconds: float
    text: str
    title: str
    source_uri: str
    batch: str
    shard: int


ROW_COLUMNS = list(Row.__dataclass_fields__)


def read_row(rows: ds.Dataset, row_id: str) -> Row | None:
    """The row of that id, or None."""
    found = rows.to_table(columns=ROW_COLUMNS, filter=row_filter(row_id)).slice(0, 1).to_pylist()
    return Row(**found[0]) if found else None


def rows_of_video(rows: ds.Dataset, video_id: str) -> list[Row]:
    """The segments of a video in the order of time."""
    mine = (pc.field("video_id") == video_id) & (pc.field("level") == "segment")
    found = [Row(**row) for row in rows.to_table(columns=ROW_COLUMNS, filter=mine).to_pylist()]
    return sorted(found, key=lambda row: (row.start_seconds, row.end_seconds, row.row_id))
