"""Questions about what is not in the root: a sentence as a vector, an uploaded video as rows, and a search by it."""

from __future__ import annotations

import math
import re
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, BinaryIO

import numpy as np
from fastapi import APIRouter, Query, Request, UploadFile
from fastapi import Path as InPath

from videobert.embed.core import unit_mean
from videobert.errors import InputError
from videobert.serve.answers import Answers, NotFoundError, Question
from videobert.serve.jobs import Job, Jobs
from videobert.serve.parameters import AnswersOf, Asked, Base, Spec
from videobert.serve.records import JobState, SearchPage, Sentence, SentenceVector, UploadedRow

__all__ = ["JobId", "job_of", "router", "state_of", "stretch_of", "take_upload"]

router = APIRouter(
    prefix="/api/v1", responses={status: {"model": Sentence} for status in (400, 401, 404, 413, 429, 503)}
)
JobId = Annotated[str, InPath(pattern=r"^[A-Za-z0-9_-]{16}$")]
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_MOST_CAPTION_BYTES = 16 << 20


@router.get("/embed")
def embed(answers: AnswersOf, spec: Spec, text: Annotated[str, Query(min_length=1, max_length=2000)]) -> SentenceVector:
    """A sentence as a unit vector of the retrieval space."""
    return SentenceVector(model=spec, embedding=answers.root.encode(text, model=spec).tolist())


@router.post("/videos", status_code=202)
def upload(request: Request, spec: Spec, video: UploadFile, captions: UploadFile | None = None) -> JobState:
    """Embed a video as a batch would, with captions where they are given. Ask `jobs/ID` how far it is."""
    return state_of(take_upload(request, spec, video, captions))


@router.get("/jobs/{job_id}")
def job(request: Request, job_id: JobId) -> JobState:
    """How far it is, and its rows once it is done."""
    return state_of(job_of(request, job_id))


@router.delete("/jobs/{job_id}")
def cancel(request: Request, job_id: JobId) -> JobState:
    """End it."""
    found = job_of(request, job_id)
    _jobs(request).cancel(found)
    return state_of(found)


@router.get("/jobs/{job_id}/search")
def search(request: Request, answers: AnswersOf, job_id: JobId, asked: Asked, base: Base) -> SearchPage:
    """The segments nearest to the video, or to its seconds `from` to `to`."""
    return stretch_of(answers, job_of(request, job_id), asked, base)


def take_upload(request: Request, spec: str, video: UploadFile, captions: UploadFile | None) -> Job:
    """Copy the files to where a job finds them, under names of ours."""
    folder: Path = request.app.state.scratch.folder()
    try:
        (folder / "videos").mkdir()
        (folder / "work").mkdir()
        _copy(video.file, folder / "videos" / f"upload{_suffix(video)}")
        if captions is not None and captions.filename:
            if (captions.size or 0) > _MOST_CAPTION_BYTES:
                raise InputError(f"captions of {captions.size} bytes are too many; give at most {_MOST_CAPTION_BYTES}")
            _copy(captions.file, folder / "videos" / f"upload{_suffix(captions)}")
        return _jobs(request).submit(folder, spec)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def state_of(found: Job) -> JobState:
    """What is told of a job."""
    return JobState(
        id=found.id, model=found.model, state=found.state, stage=found.stage, progress=found.progress,
        error=found.error, rows=[UploadedRow(**row) for row in found.rows],
    )  # fmt: skip


def stretch_of(answers: Answers, found: Job, asked: Question, base: str) -> SearchPage:
    """A search by a whole video, or by the mean of its segments in some seconds; with the model that embedded it."""
    if found.state != "done":
        raise InputError(f"this video is {found.state}; search by it once it is done")
    whole = asked.from_seconds == 0 and math.isinf(asked.to_seconds)
    rows = [
        row["embedding"]
        for row in found.rows
        if row["level"] == ("video" if whole else "segment")
        and row["end_seconds"] > asked.from_seconds
        and row["start_seconds"] < asked.to_seconds
    ]
    if not rows:
        raise InputError(f"the video has no segment from {asked.from_seconds:g} s to {asked.to_seconds:g} s")
    vector = unit_mean(np.array(rows, np.float32)).tolist()
    question = replace(asked, text="", row="", vector=vector, from_seconds=0.0, to_seconds=float("inf"), by="vector")
    return answers.search(question, found.model, base)


def job_of(request: Request, job_id: str) -> Job:
    """Raises NotFoundError."""
    found = _jobs(request).find(job_id)
    if found is None:
        raise NotFoundError(f"there is no job {job_id!r}; the service remembers the last ones only")
    return found


def _jobs(request: Request) -> Jobs:
    found: Jobs = request.app.state.jobs
    return found


def _suffix(file: UploadFile) -> str:
    """Of the name that was given, of which nothing else is used."""
    suffix = PurePosixPath(file.filename or "").suffix.lower()
    if not _SUFFIX.fullmatch(suffix):
        raise InputError(f"the file's name ends with {suffix[:20]!r}; give it the ending of its kind, such as .mp4")
    return suffix


def _copy(source: BinaryIO, target: Path) -> None:
    with target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
