"""REST: typed answers below `/api/v1`, described by `/api/openapi.json`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response

from videobert.admin.evaluations import find_reports, read_metrics
from videobert.api import DeadLetter, Lineage, ModelInfo, StageStatus
from videobert.errors import InputError
from videobert.query.predictions import Prediction
from videobert.query.rows import Row
from videobert.query.timeline import Timeline
from videobert.serve.answers import NotFoundError, Question
from videobert.serve.parameters import (
    AnswersOf,
    Asked,
    AskedRows,
    Base,
    OtherName,
    RowId,
    Spec,
    TableId,
    VideoId,
    WrittenOf,
)
from videobert.serve.records import (
    ApplicationPage,
    ApplicationTables,
    Comparison,
    Matrix,
    Point,
    PointMap,
    Reason,
    RowPage,
    SearchPage,
    Sentence,
)
from videobert.visualization.environment import COPY_SCRIPT_HASH
from videobert.visualization.page import Row as TokenRow

__all__ = ["router"]

router = APIRouter(
    prefix="/api/v1",
    responses={status: {"model": Sentence} for status in (400, 401, 404, 429, 503)},
)
_MAP_TEXT = 120
_REPORT_POLICY = (
    f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{COPY_SCRIPT_HASH}'; "
    "sandbox allow-scripts"
)
"""A report holds its own style, pictures and the one script that copies; it is no part of this origin."""


@router.get("/search")
def search(answers: AnswersOf, asked: Asked, spec: Spec, base: Base) -> SearchPage:
    """The segments nearest to a sentence or a row."""
    return answers.search(asked, spec, base)


@router.get("/search/compare")
def compare(answers: AnswersOf, asked: Asked, spec: Spec, base: Base, other: OtherName) -> Comparison:
    """The same question to `model` and to `other`; each is any embeddings, or `current`."""
    if not other:
        raise InputError("`other` is missing; name the model to compare with")
    return answers.compare(asked, [spec, answers.root.spec(other)], base)


@router.post("/search/vector")
def search_vector(answers: AnswersOf, asked: Asked, spec: Spec, base: Base, vector: list[float]) -> SearchPage:
    """The segments nearest to a vector of the retrieval space, which the body holds as a list of numbers."""
    return answers.search(replace(asked, text="", row="", vector=vector[:100_000]), spec, base)


@router.get("/rows/{row_id}")
def row(answers: AnswersOf, row_id: RowId, spec: Spec, base: Base) -> RowPage:
    """A row, where it comes from, and where its pictures are."""
    return answers.row_page(row_id, spec, base)


@router.get("/rows/{row_id}/lineage")
def lineage(answers: AnswersOf, row_id: RowId, spec: Spec) -> Lineage:
    """The way from a row back to its video."""
    answers.row(row_id, spec)
    return answers.root.lineage(row_id, model=spec)


@router.get("/rows/{row_id}/neighbours")
def neighbours(
    answers: AnswersOf, row_id: RowId, spec: Spec, base: Base, top: Annotated[int, Query(ge=1, le=200)] = 12
) -> SearchPage:
    """The rows nearest to it."""
    answers.row(row_id, spec)
    return answers.search(Question(row=row_id, top=top), spec, base)


@router.get("/rows/{row_id}/tokens")
def tokens(answers: AnswersOf, row_id: RowId, spec: Spec) -> Timeline:
    """The visual tokens of the row's video, and which of them are the row's."""
    return answers.timeline(row_id, spec)


@router.get("/rows/{row_id}/predictions")
def predictions(answers: AnswersOf, row_id: RowId, spec: Spec) -> list[Prediction]:
    """What fine-tuned models say of the row's video and its segments."""
    return answers.predictions(row_id, spec)


@router.get("/rows/{row_id}/forecast")
def forecast(
    answers: AnswersOf, row_id: RowId, spec: Spec,
    horizon: Annotated[int, Query(ge=1, le=16)] = 3, top: Annotated[int, Query(ge=1, le=16)] = 3,
) -> list[TokenRow]:  # fmt: skip
    """The visual tokens that the model expects after a row: seen, the likeliest at each clip, what came."""
    return answers.forecast(row_id, spec, horizon=horizon, top=top)


@router.get("/tokens/{leaf}/picture.jpg", response_class=Response)
def token_picture(answers: AnswersOf, leaf: Annotated[int, Path(ge=0, le=1 << 31)], spec: Spec) -> Response:
    """The middle of the training clip that is nearest to the centroid of a visual token."""
    return answers.tokens.picture(spec, leaf)


@router.get("/labels")
def labels(answers: AnswersOf, spec: Spec) -> list[str]:
    """Labels of predictions, to which `label` narrows a search."""
    return answers.labels(spec)


@router.get("/rows/{row_id}/picture.jpg", response_class=Response)
def picture(
    answers: AnswersOf, row_id: RowId, spec: Spec,
    at: Annotated[float | None, Query(ge=0, le=1e6)] = None,
    width: Annotated[int, Query(ge=16, le=1280)] = 320,
) -> Response:  # fmt: skip
    """JPEG of the middle of a row, or of another second of its video."""
    found = answers.row(row_id, spec)
    seconds = (found.start_seconds + found.end_seconds) / 2 if at is None else at
    return answers.footage.picture(answers.footage.find(row_id, spec), seconds, width)


@router.get("/rows/{row_id}/clip.mp4", response_class=Response)
def clip(answers: AnswersOf, row_id: RowId, spec: Spec, range_: Annotated[str, Header(alias="range")] = "") -> Response:
    """The seconds of a row as MP4 that every browser plays."""
    return answers.footage.excerpt(answers.footage.find(row_id, spec), answers.row(row_id, spec), range_)


@router.get("/rows/{row_id}/video", response_class=Response)
def video(
    answers: AnswersOf, row_id: RowId, spec: Spec, range_: Annotated[str, Header(alias="range")] = "",
    playable: bool = False,
) -> Response:  # fmt: skip
    """The whole video as it came; with `playable` 406 where browsers would not play it, or not its sound."""
    answers.row(row_id, spec)
    return answers.footage.source(answers.footage.find(row_id, spec), range_, playable=playable)


@router.get("/videos/{video_id}")
def segments(answers: AnswersOf, video_id: VideoId, spec: Spec) -> list[Row]:
    """The segments of a video in the order of time."""
    return answers.video(video_id, spec)


@router.get("/status")
def status(answers: AnswersOf) -> list[StageStatus]:
    """What every batch has at every stage, and what there is of the corpus."""
    return answers.root.status()


@router.get("/batches")
def batches(answers: AnswersOf) -> Matrix:
    """Batches by stages, the newest first."""
    return answers.matrix()


@router.get("/dead-letters")
def dead_letters(
    answers: AnswersOf, batch: str = "", stage: str = "", reason: str = "",
    top: Annotated[int, Query(ge=1, le=1000)] = 100, offset: Annotated[int, Query(ge=0)] = 0,
) -> list[DeadLetter]:  # fmt: skip
    """The videos that could not be used."""
    return answers.letters(batch=batch, stage=stage, reason=reason)[offset : offset + top]


@router.get("/dead-letters/reasons")
def reasons(answers: AnswersOf) -> list[Reason]:
    """Dead letters by stage and reason."""
    return answers.reasons()


@router.get("/dead-letters/picture.jpg", response_class=Response)
def letter_picture(
    answers: AnswersOf, batch: str, stage: str, video: Annotated[str, Query(max_length=128)]
) -> Response:
    """The last picture that could be decoded of a video, for those that lie in a shard."""
    return answers.letter_picture(batch=batch, stage=stage, video=video)


@router.get("/applications")
def applications(written: WrittenOf, offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0) -> ApplicationTables:
    """The tables that applications wrote, 50 a page: by application, each with the last by name first."""
    return written.tables(offset)


@router.get("/applications/{application}/{table}")
def application_rows(
    written: WrittenOf, application: TableId, table: TableId, asked: AskedRows, base: Base
) -> ApplicationPage:
    """Rows of a table, each with its segment or video, where the embeddings that it names have it."""
    return written.page(application, table, asked, base)


@router.get("/map")
def points(answers: AnswersOf, spec: Spec, base: Base) -> PointMap:
    """Some segments in the plane in which their embeddings differ most, evenly taken of all."""
    found = answers.projection(spec)
    placed = zip(found.rows, found.place_N2.tolist(), strict=True)
    return PointMap(
        model=spec, base=base, batches=sorted({row.batch for row in found.rows}), explained=found.explained,
        total=found.total,
        points=[
            Point(
                x=x, y=y, row_id=row.row_id, title=row.title, text=row.text[:_MAP_TEXT], batch=row.batch,
                start_seconds=row.start_seconds,
            )
            for row, (x, y) in placed
        ],
    )  # fmt: skip


@router.get("/models")
def models(answers: AnswersOf) -> list[ModelInfo]:
    """The trained models, their gates and their embeddings."""
    return answers.root.models()


@router.get("/current")
def current(answers: AnswersOf) -> dict[str, Any] | None:
    """The promoted model; null when none is."""
    found = answers.root.current
    return asdict(found) if found else None


@router.get("/models/{model}/curve")
def curve(answers: AnswersOf, model: VideoId) -> list[dict[str, float]]:
    """Losses of a model's training by step."""
    return answers.curve(model)


@router.get("/models/{model}/reports")
def reports(answers: AnswersOf, model: VideoId) -> list[dict[str, Any]]:
    """The figures of a model's evaluations, the one with most gates first."""
    store = answers.root.store
    return [{"report": report.spec, "metrics": read_metrics(store, report)} for report in find_reports(store, model)]


@router.get("/models/{model}/reports/{report}.html", response_class=Response)
def report_page(answers: AnswersOf, model: VideoId, report: VideoId) -> Response:
    """The page that an evaluation wrote."""
    for found in find_reports(answers.root.store, model):
        for output in found.outputs:
            if found.spec == report and output.path.endswith(".html"):
                data = answers.root.store.read(output.path)
                return Response(data, media_type="text/html", headers={"content-security-policy": _REPORT_POLICY})
    raise NotFoundError(f"model {model!r} has no report {report!r}; /api/v1/models/{model}/reports lists them")
