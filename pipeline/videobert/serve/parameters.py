"""What requests may name, checked before anything else sees it, and what every route is given."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Path, Query, Request

from videobert.query.application_tables import TABLE_NAME, TableQuery
from videobert.query.filters import Captions
from videobert.serve.answers import Answers, Question
from videobert.serve.watchers import Watchers
from videobert.serve.written import Written

__all__ = [
    "AnswersOf", "Asked", "AskedRows", "Base", "BatchKeys", "ModelName", "OtherName", "RowId", "Spec", "SpecId",
    "TableId", "VideoId", "WatchCursor", "WatchId", "WatchersOf", "WrittenOf",
]  # fmt: skip

_SPEC = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$"

RowId = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9_-]{1,128}(:[0-9]{1,9})?$", description="VIDEO_ID:SEGMENT, or VIDEO_ID.")
]
BatchKeys = Annotated[str, Query(max_length=4000, description="Batch keys, separated by commas.")]
SpecId = Annotated[str, Path(pattern=_SPEC, description="Embeddings, such as models list.")]
TableId = Annotated[str, Path(pattern=f"^{TABLE_NAME}$", description="As the list of tables calls it.")]
VideoId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,128}$", description="sha256 of the video's bytes.")]


WatchId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="As the list of watched files calls it.")]


def _answers(request: Request) -> Answers:
    found: Answers = request.app.state.answers
    return found


AnswersOf = Annotated[Answers, Depends(_answers)]


def _written(request: Request) -> Written:
    found: Written = request.app.state.written
    return found


WrittenOf = Annotated[Written, Depends(_written)]


def _watchers(request: Request) -> Watchers:
    found: Watchers = request.app.state.watchers
    return found


WatchersOf = Annotated[Watchers, Depends(_watchers)]


def _after(
    after: Annotated[
        str | None, Query(pattern=r"^[0-9a-f]{8}\.[0-9]{1,9}$", description="`cursor` of the former answer.")
    ] = None,
) -> str:
    return after or ""


WatchCursor = Annotated[str, Depends(_after)]


def _base(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


Base = Annotated[str, Depends(_base)]


def _model(
    model: Annotated[str, Query(pattern=_SPEC, description="Model or embeddings; `current` is promoted.")] = "current",
) -> str:
    return model


ModelName = Annotated[str, Depends(_model)]


def _spec(answers: AnswersOf, model: ModelName) -> str:
    """Resolved once per request, and all parts of its answer use it."""
    return answers.root.spec(model)


Spec = Annotated[str, Depends(_spec)]


def _other(
    other: Annotated[str | None, Query(pattern=_SPEC, description="Another model to compare with.")] = None,
) -> str:
    return other or ""


OtherName = Annotated[str, Depends(_other)]


def _question(
    text: Annotated[str, Query(max_length=2000, description="A sentence.")] = "",
    row: Annotated[str, Query(max_length=140, description="A row to compare with, instead of a sentence.")] = "",
    top: Annotated[int, Query(ge=1, le=200)] = 12,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
    batch: BatchKeys = "",
    video: Annotated[str, Query(max_length=128, description="How the video's id begins.")] = "",
    from_seconds: Annotated[float, Query(alias="from", ge=0)] = 0.0,
    to_seconds: Annotated[float | None, Query(alias="to", gt=0)] = None,
    holding: Annotated[str, Query(max_length=500, description="Words of the caption, in either case.")] = "",
    captions: Annotated[Captions, Query(description="Rows with a text, or without one.")] = "any",
    label: Annotated[str, Query(max_length=500, description="A label that `videobert predict` gave.")] = "",
    per_video: Annotated[int, Query(ge=0, le=1000)] = 0,
    rerank: Annotated[int, Query(ge=0, le=100)] = 0,
    probes: Annotated[int, Query(ge=0, le=4096)] = 0,
    by: Annotated[Literal["vector", "words", "both"], Query(description="What a text is compared by.")] = "vector",
) -> Question:
    return Question(
        text=text, row=row, top=top, offset=offset, batches=batch, video=video, from_seconds=from_seconds,
        to_seconds=float("inf") if to_seconds is None else to_seconds, holding=holding, captions=captions,
        label=label, per_video=per_video, rerank=rerank, probes=probes, by=by,
    )  # fmt: skip


Asked = Annotated[Question, Depends(_question)]


def _asked_rows(
    column: Annotated[str, Query(max_length=200, description="Only rows whose `column` is `value`.")] = "",
    value: Annotated[str, Query(max_length=2000)] = "",
    sort: Annotated[str, Query(max_length=200, description="A column; `-COLUMN`: the highest first.")] = "",
    top: Annotated[int, Query(ge=1, le=200)] = 24,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> TableQuery:
    return TableQuery(column=column, value=value, sort=sort, top=top, offset=offset)


AskedRows = Annotated[TableQuery, Depends(_asked_rows)]
