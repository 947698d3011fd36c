"""The questions that both doors of the service ask, REST and page, so that they cannot answer differently."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import quote

from fastapi import Response

from videobert.api import DeadLetter
from videobert.errors import InputError, VideoError
from videobert.query.filters import Captions
from videobert.query.predictions import Prediction, labels_of, predictions_of_video
from videobert.query.projection import Projection, project_rows
from videobert.query.rows import Row, read_row, rows_of_video
from videobert.query.timeline import Timeline, read_timeline
from videobert.query.training import training_history
from videobert.runtime.manifest import load_manifest
from videobert.serve.footage import FootageServer
from videobert.serve.fresh import FreshRoot
from videobert.serve.letters import footage_of_letter
from videobert.serve.options import ServeOptions
from videobert.serve.records import (
    Comparison,
    FoundHit,
    Links,
    Matrix,
    MatrixCell,
    MatrixRow,
    Reason,
    RowPage,
    SearchPage,
    Side,
)
from videobert.serve.tokens import TokenPictures, codebook_of, forecast_of
from videobert.stages import stage_names
from videobert.visualization.page import Row as TokenRow

__all__ = ["MOST_POINTS", "Answers", "NotFoundError", "Question", "links_of"]

MOST_POINTS = 2000
"""Of the map."""
_LETTER_WIDTH = 320


class NotFoundError(InputError):
    """What the address names is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A search; the fields are those of `Root.search`."""

    text: str = ""
    row: str = ""
    vector: list[float] = field(default_factory=list)
    top: int = 12
    offset: int = 0
    batches: str = ""
    video: str = ""
    from_seconds: float = 0.0
    to_seconds: float = float("inf")
    holding: str = ""
    captions: Captions = "any"
    label: str = ""
    per_video: int = 0
    rerank: int = 0
    probes: int = 0
    by: Literal["vector", "words", "both"] = "vector"


class Answers:
    """Over one root. Every method takes the embeddings' spec that the request was given at its beginning."""

    def __init__(self, root: FreshRoot, footage: FootageServer, options: ServeOptions) -> None:
        self.root, self.footage, self.tokens = root, footage, TokenPictures(root, footage)
        self._most_hits, self.encoder = options.most_hits, options.encoder
        self._drawing, self._drawn = threading.Lock(), cast("tuple[tuple[str, ...], Projection] | None", None)

    def search(self, asked: Question, spec: str, base: str) -> SearchPage:
        """One page of hits; one more than it shows is asked for, which tells whether another follows."""
        end = asked.offset + asked.top
        if not 1 <= asked.top <= 200 or asked.offset < 0 or end > self._most_hits:
            raise InputError(
                f"hits {asked.offset} to {end} are no page; ask for 1 to 200 hits, none beyond {self._most_hits}"
            )
        hits = self.root.search(
            asked.text, row=asked.row, vector=asked.vector or None, top=end + 1, batches=asked.batches,
            video=asked.video, from_seconds=asked.from_seconds, to_seconds=asked.to_seconds, holding=asked.holding,
            captions=asked.captions, label=asked.label, per_video=asked.per_video, rerank=asked.rerank,
            probes=asked.probes, by=asked.by, model=spec,
        )  # fmt: skip
        shown = [FoundHit(hit=hit, links=links_of(base, hit.row_id, spec)) for hit in hits[asked.offset : end]]
        return SearchPage(model=spec, hits=shown, next_offset=end if len(hits) > end else None)

    def compare(self, asked: Question, specs: Sequence[str], base: str) -> Comparison:
        """The same question to several embeddings; a row or a batch that one of them lacks is that one's refusal."""
        sides = []
        for spec in specs:
            try:
                sides.append(Side(model=spec, page=self.search(asked, spec, base), error=""))
            except InputError as error:
                sides.append(Side(model=spec, page=None, error=str(error)))
        found = [{hit.hit.row_id for hit in side.page.hits} for side in sides if side.page]
        shared = len(set.intersection(*found)) if len(found) == len(specs) else 0
        return Comparison(sides=sides, shared=shared)

    def row(self, row_id: str, spec: str) -> Row:
        """One row. Raises NotFoundError."""
        found = self.root.remembered(("row", row_id, spec), lambda: read_row(self.root.embeddings(model=spec), row_id))
        if found is None:
            raise NotFoundError(f"there is no row {row_id!r} in {spec}; a search prints row ids")
        return found

    def row_page(self, row_id: str, spec: str, base: str) -> RowPage:
        """A row with its lineage and pictures. Raises NotFoundError."""
        row = self.row(row_id, spec)
        try:
            plays = self.footage.plays(self.footage.find(row_id, spec))
        except (InputError, VideoError):  # it is gone or broken, and the rest can be told all the same
            plays = None
        return RowPage(
            model=spec, row=row, links=links_of(base, row_id, spec),
            plays_in_browsers=plays,
            lineage=self.root.lineage(row_id, model=spec).steps,
        )  # fmt: skip

    def timeline(self, row_id: str, spec: str) -> Timeline:
        """The visual tokens of a row's video. Raises NotFoundError."""
        self.row(row_id, spec)
        lineage = self.root.lineage(row_id, model=spec)
        return self.root.remembered(("timeline", row_id, spec), lambda: read_timeline(self.root.store, lineage))

    def forecast(self, row_id: str, spec: str, *, horizon: int, top: int) -> list[TokenRow]:
        """The visual tokens that the model expects after a row. Raises NotFoundError; runs the model."""
        row, timeline = self.row(row_id, spec), self.timeline(row_id, spec)
        found = forecast_of(self.root.opened(spec), row.text, timeline, horizon=horizon, top=top)
        self.tokens.look_up(codebook_of(self.root, spec), {cell.leaf for strip in found for cell in strip.cells})
        return found

    def predictions(self, row_id: str, spec: str) -> list[Prediction]:
        """What fine-tuned models say of a row's video. Raises NotFoundError."""
        row = self.row(row_id, spec)
        return self.root.remembered(
            ("predictions", row.video_id, spec),
            lambda: predictions_of_video(self.root.store, spec, row.video_id, row.batch),
        )

    def labels(self, spec: str) -> list[str]:
        """Labels that a search can be narrowed to."""
        return self.root.remembered(("labels", spec), lambda: labels_of(self.root.store, spec))

    def video(self, video_id: str, spec: str) -> list[Row]:
        """The segments of a video in time order. Raises NotFoundError."""
        found = self.root.remembered(
            ("video", video_id, spec), lambda: rows_of_video(self.root.embeddings(model=spec), video_id)
        )
        if not found:
            raise NotFoundError(f"there is no video {video_id!r} in {spec}; it is the row id before the colon")
        return found

    def matrix(self) -> Matrix:
        """What every batch has at every stage; stages over the corpus have no batch and are left out."""
        states = [state for state in self.root.status() if state.batch]
        order = {stage: number for number, stage in enumerate(stage_names())}
        columns = sorted({(s.stage, s.spec) for s in states}, key=lambda column: (order[column[0]], column[1]))
        rows: dict[str, dict[str, MatrixCell]] = {}
        times = self.root.commit_times()
        for s in states:
            # The catalog's path holds no spec.
            when = times.get((s.stage, s.spec, s.batch)) or times.get((s.stage, "", s.batch))
            cell = MatrixCell(
                committed=s.committed, counts=s.counts, committed_at=when.committed_at if when else "",
                seconds=when.seconds if when else 0.0,
            )  # fmt: skip
            rows.setdefault(s.batch, {})[f"{s.stage} {s.spec}"] = cell
        return Matrix(
            columns=columns, rows=[MatrixRow(batch=batch, cells=rows[batch]) for batch in sorted(rows, reverse=True)]
        )

    def curve(self, model: str) -> list[dict[str, float]]:
        """Losses of the training of a model; none where it is not committed, or its files are gone."""

        def read() -> list[dict[str, float]]:
            manifest = load_manifest(self.root.store, "pretrain", model, "")
            try:
                return training_history(self.root.store, manifest)[0] if manifest else []
            except FileNotFoundError:
                return []

        return self.root.remembered(("curve", model), read)

    def letters(self, *, batch: str = "", stage: str = "", reason: str = "") -> list[DeadLetter]:
        """Dead letters with these values; an empty one takes all."""
        wanted = {"batch": batch, "stage": stage, "reason": reason}
        return [
            letter
            for letter in self.root.all_dead_letters()
            if all(getattr(letter, name) == value for name, value in wanted.items() if value)
        ]

    def letter_picture(self, *, batch: str, stage: str, video: str) -> Response:
        """What was on screen before a video broke. Raises NotFoundError, and InputError where nothing can be shown."""
        for letter in self.letters(batch=batch, stage=stage):
            if letter.video_id == video:
                found = footage_of_letter(self.root.store, letter)
                return self.footage.picture(found, letter.salvageable_seconds, _LETTER_WIDTH)
        raise NotFoundError(f"no dead letter of {stage} and batch {batch!r} is of video {video!r}")

    def projection(self, spec: str) -> Projection:
        """Segments as points; made anew when batches come or go, and not before."""
        rows = self.root.embeddings(model=spec)
        files = tuple(rows.files)
        with self._drawing:
            if self._drawn is None or self._drawn[0] != files:
                self._drawn = (files, project_rows(rows, most=MOST_POINTS))
            return self._drawn[1]

    def reasons(self) -> list[Reason]:
        """Dead letters by stage and reason, most frequent first."""
        counts = Counter((letter.stage, letter.reason) for letter in self.root.all_dead_letters())
        return [Reason(stage=stage, reason=reason, videos=n) for (stage, reason), n in counts.most_common()]


def links_of(base: str, row_id: str, spec: str) -> Links:
    """Below the path at which the service is mounted; they name the model, so that a promotion does not change them."""
    row, query = f"{base}/api/v1/rows/{quote(row_id, safe=':')}", f"?model={quote(spec)}"
    return Links(picture=f"{row}/picture.jpg{query}", clip=f"{row}/clip.mp4{query}", video=f"{row}/video{query}")
