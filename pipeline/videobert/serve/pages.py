"""The page: the same answers as `/api/v1`, as HTML. Without script it searches, shows and links; with it clips play."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Query, Request, UploadFile
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from videobert.admin.evaluations import find_reports, read_metrics
from videobert.errors import InputError, PipelineError
from videobert.query.timeline import Timeline
from videobert.runtime.manifest import Manifest
from videobert.serve.answers import Answers, Question, links_of
from videobert.serve.curves import Plot, plot
from videobert.serve.letters import has_footage
from videobert.serve.lines import (
    letter_lines,
    listing_lines,
    map_lines,
    query_of,
    replay_lines,
    reports_line,
    rows_query,
    search_lines,
    table_lines,
    upload_lines,
)  # fmt: skip
from videobert.serve.parameters import (
    AnswersOf,
    Asked,
    AskedRows,
    Base,
    ModelName,
    OtherName,
    RowId,
    Spec,
    TableId,
    WrittenOf,
)
from videobert.serve.render import render_page
from videobert.serve.uploads import JobId, job_of, stretch_of, take_upload
from videobert.serve.watch_pages import router as watch_router
from videobert.serve.written import is_row_id

__all__ = ["add_pages", "problem_page"]

_MOST_LETTERS = 200
_MOST_CLIPS = 400
_LOSSES = ("loss", "text_only", "video_only", "joint_text", "joint_video", "alignment", "retrieval")
_STATIC = Path(__file__).with_name("static")
router = APIRouter(include_in_schema=False)


def add_pages(app: FastAPI) -> None:
    """The pages, and the style and script that the package holds."""
    app.include_router(router)
    app.include_router(watch_router)
    static = StaticFiles(directory=_STATIC, packages=[("videobert.visualization", "static")])
    app.mount("/static", static, name="static")


@router.get("/")
def search_page(answers: AnswersOf, asked: Asked, model: ModelName, other: OtherName, base: Base) -> Response:
    """The box, and what was found."""
    shown = _results(answers, asked, model, other, base)
    specs = sorted({e.spec for info in answers.root.models() for e in info.embeddings})
    batches = [row.batch for row in answers.matrix().rows]
    plain = Question(text=asked.text, row=asked.row, top=asked.top, offset=asked.offset)
    return render_page(
        answers, base, "search.html", "/", **shown, specs=specs, batches=batches, chosen=model, other=other,
        labels=_labels(answers, model), endless=float("inf"),
        filtered=asked != plain or model != "current" or bool(other),
    )  # fmt: skip


@router.get("/results")
def results_part(answers: AnswersOf, asked: Asked, model: ModelName, other: OtherName, base: Base) -> Response:
    """What was found, without the page around it."""
    return render_page(answers, base, "results.html", "/", **_results(answers, asked, model, other, base))


@router.get("/rows/{row_id}")
def row_page(answers: AnswersOf, row_id: RowId, spec: Spec, base: Base) -> Response:
    """A row with its player, its tokens, its neighbours and its lineage."""
    row, root = answers.row(row_id, spec), answers.root.url
    commands = [
        ("command line", f"videobert lineage {row_id} --root {shlex.quote(root)} --model {spec}"),
        ("Python", f"videobert.open({root!r}).lineage({row_id!r}, model={spec!r})"),
    ]
    return render_page(
        answers, base, "row.html", "", row=row, links=links_of(base, row_id, spec), model=spec,
        lineage=answers.root.lineage(row_id, model=spec).steps,
        segments=answers.video(row.video_id, spec), near=answers.search(Question(row=row_id, top=8), spec, base),
        commands=commands, timeline=_timeline(answers, row_id, spec), predictions=answers.predictions(row_id, spec),
    )  # fmt: skip


@router.get("/rows/{row_id}/forecast")
def forecast_page(
    answers: AnswersOf, row_id: RowId, spec: Spec, base: Base,
    horizon: Annotated[int, Query(ge=1, le=16)] = 3, top: Annotated[int, Query(ge=1, le=16)] = 3,
    part: bool = False,
) -> Response:  # fmt: skip
    """What the model expects after a row; `part` is what the row's page shows of it."""
    rows = answers.forecast(row_id, spec, horizon=horizon, top=top)
    urls = {
        cell.leaf: f"{base}/api/v1/tokens/{cell.leaf}/picture.jpg?{urlencode({'model': spec})}"
        for row in rows for cell in row.cells
    }  # fmt: skip
    line = f"videobert forecast {row_id} --root {shlex.quote(answers.root.url)} --model {spec.rsplit('.', 1)[0]}"
    template = "forecast_part.html" if part else "forecast.html"
    return render_page(
        answers, base, template, "", row_id=row_id, rows=rows, urls=urls, model=spec,
        heading="h3" if part else "h2",
        commands=[("command line", f"{line} --horizon {horizon} --top {top}")],
    )  # fmt: skip


@router.get("/batches")
def batches_page(answers: AnswersOf, base: Base) -> Response:
    """Batches by stages."""
    commands = listing_lines(answers.root.url, "status")
    return render_page(answers, base, "batches.html", "/batches", matrix=answers.matrix(), commands=commands)


@router.get("/applications")
def applications_page(
    answers: AnswersOf, written: WrittenOf, base: Base, offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0
) -> Response:
    """The tables that applications wrote."""
    return render_page(answers, base, "applications.html", "/applications", found=written.tables(offset), offset=offset)


@router.get("/applications/{application}/{table}")
def table_page(
    answers: AnswersOf, written: WrittenOf, application: TableId, table: TableId, asked: AskedRows, base: Base
) -> Response:
    """Rows of one of them, with their pictures."""
    return render_page(
        answers, base, "table.html", "/applications", found=written.page(application, table, asked, base), asked=asked,
        turned=lambda offset: urlencode(rows_query(asked) | {"offset": max(0, offset)}), is_row_id=is_row_id,
        commands=table_lines(written.folder, application, table, asked),
    )  # fmt: skip


@router.get("/dead-letters")
def letters_page(answers: AnswersOf, base: Base, batch: str = "", stage: str = "", reason: str = "") -> Response:
    """The videos that could not be used."""
    found = answers.letters(batch=batch, stage=stage, reason=reason)
    root = answers.root.url
    return render_page(
        answers, base, "letters.html", "/dead-letters", letters=found[:_MOST_LETTERS], total=len(found),
        reasons=answers.reasons(), batch=batch, stage=stage, reason=reason,
        commands=[*letter_lines(root, batch, stage, reason), *replay_lines(root, batch, stage, reason)],
        pictured=has_footage,
    )  # fmt: skip


@router.get("/models")
def models_page(answers: AnswersOf, base: Base, a: str = "", b: str = "") -> Response:
    """Models with their gates, and two reports side by side."""
    models = answers.root.models()
    reports = {info.spec: find_reports(answers.root.store, info.spec) for info in models if info.committed}
    every = {report.spec: report for found in reports.values() for report in found}
    compared = _compared(answers, every, a, b) if a and b else []
    of = {side: every[side].facts["model_spec"] for side in (a, b) if side in every}
    both = plot({side: answers.curve(model) for side, model in of.items()})
    plots = {spec: _losses(answers.curve(spec)) for spec in reports}
    return render_page(
        answers, base, "models.html", "/models", models=models, reports=reports, every=sorted(every),
        sides={"a": a, "b": b}, compared=compared, plots=plots, both=both,
        commands=listing_lines(answers.root.url, "models"),
        comparing=[("Python", reports_line(answers.root.url, a, b))] if compared else [],
    )  # fmt: skip


@router.post("/uploads")
def upload(request: Request, spec: Spec, base: Base, video: UploadFile, captions: UploadFile | None = None) -> Response:
    """Embed a video, and go to the page that tells how far it is."""
    return RedirectResponse(f"{base}/jobs/{take_upload(request, spec, video, captions).id}", status_code=303)


@router.get("/jobs/{job_id}")
def job_page(request: Request, answers: AnswersOf, job_id: JobId, asked: Asked, base: Base) -> Response:
    """How far an uploaded video is; then what is nearest to it, or to some seconds of it."""
    found = job_of(request, job_id)
    page = stretch_of(answers, found, asked, base) if found.state == "done" else None
    return render_page(
        answers, base, "job.html", "", job=found, page=page, asked=asked, turned=_turned(asked, "current"),
        commands=upload_lines(
            answers.root.url, str(request.base_url).rstrip("/"), asked, found.model, encoder=answers.encoder
        ),
    )  # fmt: skip


@router.post("/jobs/{job_id}/cancel")
def cancel(request: Request, job_id: JobId, base: Base) -> Response:
    """End it."""
    request.app.state.jobs.cancel(job_of(request, job_id))
    return RedirectResponse(f"{base}/jobs/{job_id}", status_code=303)


@router.get("/map")
def map_page(answers: AnswersOf, spec: Spec, base: Base) -> Response:
    """The embeddings as points."""
    found = answers.projection(spec)
    return render_page(
        answers, base, "map.html", "/map", model=spec, explained=found.explained, shown=len(found.rows),
        total=found.total, commands=map_lines(answers.root.url, spec),
    )  # fmt: skip


def problem_page(request: Request, status: int, error: str) -> Response:
    """What went wrong, below the same navigation."""
    answers: Answers = request.app.state.answers
    base = str(request.scope.get("root_path", "")).rstrip("/")
    answer = render_page(answers, base, "problem.html", "", error=error, status=status)
    answer.status_code = status
    return answer


def _losses(curve: Sequence[Mapping[str, float]]) -> Plot | None:
    """The loss and its parts."""
    names = dict.fromkeys(name for record in curve for name in record if name in _LOSSES)
    return plot({name: [{"step": r["step"], "loss": r[name]} for r in curve if name in r] for name in names})


def _timeline(answers: Answers, row_id: str, spec: str) -> Timeline | None:
    """The clips around a row; None where the tokens are gone, which the rest of the page does not need."""
    try:
        found = answers.timeline(row_id, spec)
    except InputError:
        return None
    begin = max(0, min(found.first - _MOST_CLIPS // 2, len(found.clips) - _MOST_CLIPS))
    shown = found.clips[begin : max(found.last, begin + _MOST_CLIPS)]
    return Timeline(clips=shown, first=found.first - begin, last=found.last - begin)


def _labels(answers: Answers, model: str) -> list[str]:
    """What the filter offers; nothing while there is no such model."""
    try:
        return answers.labels(answers.root.spec(model))
    except InputError:
        return []


def _results(answers: Answers, asked: Question, model: str, other: str, base: str) -> dict[str, Any]:
    """What a template of results needs; a refusal is a part of the page, where the box still holds what was asked."""
    shown: dict[str, Any] = {
        "asked": asked, "page": None, "compared": None, "error": "", "model": "", "commands": []
    }  # fmt: skip
    shown["turned"] = _turned(asked, model, **({"other": other} if other else {}))
    if not asked.text.strip() and not asked.row:
        return shown
    if asked.text.strip() and asked.row:
        return shown | {"error": "search for a text or for a row, not for both"}
    try:
        spec = answers.root.spec(model)
        if other:
            compared = answers.compare(asked, [spec, answers.root.spec(other)], base)
            lines = [
                (f"{kind}, {name}", line)
                for name in dict.fromkeys([model, other])
                for kind, line in search_lines(answers.root.url, asked, name)
            ]
            return shown | {"compared": compared, "commands": lines}
        page = answers.search(asked, spec, base)
        return shown | {"page": page, "model": spec, "commands": search_lines(answers.root.url, asked, model)}
    except PipelineError as error:
        return shown | {"error": str(error)}


def _turned(asked: Question, model: str, **more: str) -> Callable[[int], str]:
    """The parameters of the page of results that begins at an offset."""
    query = query_of(asked, model) | more
    return lambda offset: urlencode(query | {"offset": max(0, offset)})


def _compared(answers: Answers, every: dict[str, Manifest], a: str, b: str) -> list[tuple[str, str, str]]:
    """(figure, of one report, of the other) of all figures that either has."""
    missing = sorted({a, b} - set(every))
    if missing:
        raise InputError(f"there is no report {missing[0]!r}; there are {', '.join(sorted(every)) or 'none'}")
    one, other = (dict(_figures(read_metrics(answers.root.store, every[spec]))) for spec in (a, b))
    return [(name, one.get(name, ""), other.get(name, "")) for name in dict.fromkeys([*one, *other])]


def _figures(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Numbers of nested figures by their path; lists, which are curves, are left out."""
    if isinstance(value, dict):
        return [figure for key in sorted(value) for figure in _figures(value[key], f"{name}.{key}".lstrip("."))]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    return [(name, f"{value:.4g}")]
