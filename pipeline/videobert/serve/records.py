"""What the service answers, beyond the records of the Python API (`videobert.api`), which it gives as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from videobert.api import Hit, LineageStep
from videobert.query.application_tables import Value
from videobert.query.rows import Row

__all__ = [
    "ApplicationPage",
    "ApplicationRow",
    "ApplicationTable",
    "ApplicationTables",
    "Comparison",
    "Done",
    "FoundHit",
    "JobState",
    "Links",
    "Matrix",
    "MatrixCell",
    "MatrixRow",
    "Point",
    "PointMap",
    "Reason",
    "ReplayState",
    "RowPage",
    "SearchPage",
    "Sentence",
    "SentenceVector",
    "Side",
    "UploadedRow",
    "WatchFile",
    "WatchFiles",
    "WatchState",
    "WatchedRecord",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where the pictures of a row are."""

    picture: str
    """JPEG of its middle; `?at=` gives another second of the video, `?width=` another width."""
    clip: str
    """Its seconds as MP4 that every browser plays."""
    video: str
    """The whole video as it came, with range requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundHit:
    """A hit and its pictures."""

    hit: Hit
    links: Links


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """Hits, best first."""

    model: str
    """Embeddings that all of them are of."""
    hits: list[FoundHit]
    next_offset: int | None
    """Of the page that follows; none when this is the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one of the compared models found."""

    model: str
    page: SearchPage | None
    """None where it cannot be asked; `error` tells why."""
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One question to several models."""

    sides: list[Side]
    shared: int
    """Rows that all of them found; ids are comparable where both were made from the same tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPage:
    """A row, where it comes from and what it is like."""

    model: str
    row: Row
    links: Links
    plays_in_browsers: bool | None
    """Whether `links.video` does, with its sound; `links.clip` always does. None where the video is gone or broken."""
    lineage: tuple[LineageStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """One stage over one batch."""

    committed: bool
    counts: Mapping[str, int]
    committed_at: str = ""
    """ISO 8601 in UTC; empty where the storage does not tell."""
    seconds: float = 0.0
    """From its first file to its commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """One batch."""

    batch: str
    cells: Mapping[str, MatrixCell]
    """Column -> what is there; columns without anything are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Batches by stages."""

    columns: list[tuple[str, str]]
    """(stage, spec) in the order of the flow; the name of a column is `stage spec`."""
    rows: list[MatrixRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A segment on the map; `x` and `y` from 0 to 1."""

    x: float
    y: float
    row_id: str
    title: str
    text: str
    batch: str
    start_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PointMap:
    """Segments as points."""

    model: str
    """Embeddings that all of them are of."""
    base: str
    """Path at which the service is mounted."""
    batches: list[str]
    explained: float
    """Share of the variance that the plane shows."""
    total: int
    points: list[Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationTable:
    """A table that an application wrote."""

    application: str
    table: str
    """As the batch, where the DAG wrote it."""
    rows: int
    models: list[str]
    """Embeddings that it names, first and last by name; none where it has no column `model`."""
    size_bytes: int
    written_at: str
    """ISO 8601 in UTC; empty where the storage does not tell."""
    error: str
    """Why it cannot be read; empty where it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationTables:
    """What applications wrote, by application, each with the last table by name first."""

    folder: str
    """Where it lies; empty where the service was told of no folder."""
    about: Mapping[str, str]
    """Application -> what it does, of those that this installation has."""
    tables: list[ApplicationTable]
    total: int
    next_offset: int | None
    """Of the page that follows; none when this is the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationRow:
    """A row of such a table."""

    values: Mapping[str, Value]
    """Column -> what it holds; of a forgotten video only `row_id` and `video_id`."""
    model: str
    """Embeddings that its links name."""
    row: Row | None
    """The segment or video of these; None where they lack it."""
    links: Links | None
    video_row_id: str
    """Row of the whole video; empty where there is none."""
    forgotten: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationPage:
    """Rows of one table."""

    application: str
    table: str
    about: str
    columns: list[str]
    """Those that a query may filter and sort by."""
    none: Mapping[str, float]
    """Column -> the number that says there is none, where the table tells one; the page leaves it out."""
    rows: list[ApplicationRow]
    total: int
    """Rows that the query takes."""
    verdicts: Mapping[str, int]
    """What people wrote into the column `verdict` of these -> rows, '' where nobody has; empty without that column."""
    next_offset: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Dead letters of one class."""

    stage: str
    reason: str
    videos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayState:
    """Dead letters that are tried again."""

    state: str
    """none, running, done or failed."""
    reason: str
    batch: str
    """Batch keys, separated by commas; empty for all."""
    lines: list[str]
    """What `videobert replay` printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done, in one sentence."""

    done: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceVector:
    """A sentence in the retrieval space."""

    model: str
    embedding: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedRow:
    """A segment of an uploaded video, or all of it."""

    row_id: str
    level: str
    start_seconds: float
    end_seconds: float
    text: str
    embedding: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """How far the embedding of an uploaded video is."""

    id: str
    model: str
    """The embeddings that its vectors can be compared with."""
    state: str
    """waiting, running, done, failed or cancelled."""
    stage: str
    progress: float
    """From 0 to 1."""
    error: str
    rows: list[UploadedRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchFile:
    """A file that may be watched."""

    id: str
    name: str
    size_bytes: int
    grown_at: str
    """When it last did, ISO 8601 in UTC."""
    state: str
    """running, ended, failed or left: what became of the watching; empty where nobody has asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchFiles:
    """Those that the operator allowed, the one that grew last first."""

    places: list[str]
    """What `--options.watch` names; none where it names nothing."""
    files: list[WatchFile]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedRecord:
    """A clip, a segment that came to an end, or a row of the finished video; `videobert watch` describes its fields."""

    number: int
    """From 1 on."""
    kind: str
    """clip, segment or row."""
    row_id: str
    start_seconds: float
    end_seconds: float
    text: str
    labels: Mapping[str, Mapping[str, float]]
    """Fine-tuned model -> its best classes, or its value, with scores."""
    caption: str
    like: str
    forecast: str
    next_tokens: list[int]
    surprise: float
    """In nats; -1 where it was not asked."""
    distance: float
    """-1 where no alarms are wanted."""
    expected_per_hour: float
    """-1 where no alarms are wanted."""
    alarm: bool
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchState:
    """How far the watching of a file is."""

    file: str
    """Its name."""
    model: str
    """Embeddings that were promoted when it began."""
    state: str
    """running; ended: the file has; failed; left: nobody has asked for a while."""
    error: str
    begun: str
    """Another one when it has begun anew, from record 1."""
    cursor: str
    """As `after` of the next question it gives what has come since."""
    records: list[WatchedRecord]
    """In the order in which they came; the oldest are forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What went wrong: value, cause and cure."""

    error: str
