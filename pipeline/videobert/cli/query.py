"""`videobert search`, `sql` and `lineage`: what is in the embeddings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import duckdb
import tyro

import videobert
from videobert.api import Hit, Lineage
from videobert.errors import InputError
from videobert.query.filters import Captions
from videobert.query.lineage import trace
from videobert.query.sql import one_line
from videobert.runtime.storage import Store

__all__ = ["LineageCommand", "SearchCommand", "SqlCommand"]


@dataclass(frozen=True, kw_only=True)
class SearchCommand:
    """Find segments by a sentence, or those like a row, a picture or a video.

    videobert search "stir the egg" --root demo --per-video 1

    videobert search "stir the egg" --root demo --by both

    videobert search --file picture.jpg --root demo

    videobert search --like VIDEO_ID:SEGMENT --root demo --batch 2026-01-01,2026-01-02

    Prints score, title, seconds, caption and row id of every hit, best first. A sentence runs the model (the extra
    `worker`) unless it is compared by words alone; --like does not. All rows are compared; over a million, build an
    index and give --probes.
    """

    text: tyro.conf.Positional[str] = ""
    """What to look for, such as "stir the egg"."""
    root: str
    """Root of the pipeline."""
    like: str = ""
    """Row to compare with instead of a text: VIDEO_ID:SEGMENT, or VIDEO_ID for whole videos, of any batch."""
    by: Literal["vector", "words", "both"] = "vector"
    """Compare a text with what is seen, with the words of captions (BM25), or with both."""
    file: str = ""
    """Picture or video of this machine to compare with instead; it is embedded as a batch would be."""
    top: int = 5
    """How many to show."""
    per_video: int = 0
    """Most hits of one video; 0: any number."""
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
    """Only rows whose text contains these words; case does not matter."""
    captions: Captions = "any"
    """Only rows with a text, or only those without."""
    label: str = ""
    """Only rows with this label, as `videobert predict` gave it."""
    model: str = "current"
    """Model spec; `current` is the promoted one."""
    encoder: str = ""
    """Compare the text with clips as this joint encoder sees them, hf:ID or hf:/path; needs its features, no model.
    With --file the encoder that the model learnt from, packaged unless it is given."""
    probes: int = 0
    """Look only into so many lists of the index that `videobert index` built; 0 searches all rows, exactly."""
    json: bool = False
    """Print JSON lines."""

    def execute(self) -> None:
        if bool(self.text) + bool(self.like) + bool(self.file) != 1:
            raise InputError(
                "give either a text, --like ROW_ID or --file FILE, such as: videobert search 'stir the egg' --root demo"
            )
        hits = videobert.open(self.root).search(
            self.text, row=self.like, file=self.file, top=self.top, batches=self.batch, video=self.video,
            from_seconds=self.from_, to_seconds=self.to, holding=self.holding, captions=self.captions,
            label=self.label, per_video=self.per_video, rerank=self.rerank, probes=self.probes, by=self.by,
            model=self.model, encoder=self.encoder,
        )  # fmt: skip
        for hit in hits:
            print(json.dumps(asdict(hit)) if self.json else _hit_line(hit))


@dataclass(frozen=True, kw_only=True)
class SqlCommand:
    """Ask the tables `embeddings`, `catalog`, `dead_letters` and `predictions` with DuckDB's SQL.

    videobert sql "select batch, level, count(*) from embeddings group by all" --root demo

    videobert sql "describe embeddings" --root demo

    Reads these tables and nothing else: no file, no address, and no write.
    """

    query: tyro.conf.Positional[str]
    """For example: select stage, reason, count(*) from dead_letters group by all."""
    root: str
    """Root of the pipeline."""
    model: str = "current"
    """Model whose embeddings are the table; `current` is the promoted one."""
    rows: int = 40
    """Most rows to print."""

    def execute(self) -> None:
        relation = videobert.open(self.root).sql(self.query, model=self.model)
        if relation is None:
            return
        try:
            relation.show(max_rows=self.rows, max_width=160)
        except duckdb.Error as error:
            raise InputError(
                f"DuckDB stopped this query while it ran: {one_line(error)}; correct it and ask again"
            ) from error


@dataclass(frozen=True, kw_only=True)
class LineageCommand:
    """Walk a row back: embeddings, model, tokens, codebook, features, shard, catalog, source.

    videobert lineage VIDEO_ID:SEGMENT --root demo

    Prints one line per stage with the file that holds the row's shard and the digest of its bytes.
    """

    row: tyro.conf.Positional[str]
    """Row id, as `search` prints it."""
    root: str
    """Root of the pipeline."""
    model: str = "current"
    """Model spec; `current` is the promoted one."""
    predictions: str = ""
    """Spec of predictions, the name of their folder after `task=`: the row is one of them, not of the embeddings."""
    json: bool = False
    """Print one JSON object."""

    def execute(self) -> None:
        if self.predictions:
            found = trace(Store(self.root), self.predictions, self.row, stage="predict")
        else:
            found = videobert.open(self.root).lineage(self.row, model=self.model)
        if self.json:
            print(json.dumps(asdict(found)))
        else:
            _print_lineage(found)


def _hit_line(hit: Hit) -> str:
    when = f"{hit.start_seconds:6.1f}-{hit.end_seconds:<6.1f}"
    return f"{hit.score:6.3f}  {hit.title:<28.28} {when} {hit.text[:60]!r:<40} {hit.row_id}"


def _print_lineage(found: Lineage) -> None:
    print(f"{'row':<11} {found.row_id}: {found.start_seconds:.1f} s to {found.end_seconds:.1f} s, {found.text!r}")
    for step in found.steps:
        print(f"{step.stage:<11} {step.url}" + (f" sha256 {step.sha256[:12]}" if step.sha256 else ""))
    print(f"{'video':<11} sha256 {found.video_id}")
    print(f"{'source':<11} {found.source_uri}")
