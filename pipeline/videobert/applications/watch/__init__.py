"""`watch`: a new video, or a file that is still being written, clip by clip."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import videobert
from videobert.application import Application
from videobert.batch_key import parse_batch_keys
from videobert.errors import InputError, VideoError
from videobert.query.embeddings import open_embeddings, resolve_embed_spec
from videobert.query.segments import load_segments
from videobert.runtime.parquet import table_bytes, vectors_of
from videobert.runtime.record_files import write_file
from videobert.runtime.storage import Store

if TYPE_CHECKING:
    from videobert.api import Root
    from videobert.applications.watch.heads import Heads
    from videobert.applications.watch.session import Session
    from videobert.applications.watch.usual import Usual
    from videobert.tasks.base import Answer

__all__ = ["Watch", "Watched"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A clip, a segment that came to an end, or a row of the finished video."""

    kind: str
    """`clip`, `segment` or `row`."""
    row_id: str = ""
    """Of a row; the id of a video is known once it has ended."""
    start_seconds: float
    end_seconds: float
    text: str = ""
    """What is said meanwhile, as far as captions tell."""
    labels: dict[str, dict[str, float]] = field(default_factory=dict)
    """Fine-tuned model -> its best classes, or its value, with scores."""
    caption: str = ""
    """By a model that was fine-tuned to write captions."""
    like: str = ""
    """What is said over the nearest segment of the reference."""
    forecast: str = ""
    """What is said over the segment nearest to the clips that the model expects next."""
    next_tokens: list[int] = field(default_factory=list)
    """The likeliest visual tokens of these clips."""
    surprise: float = -1.0
    """-log P(the clip's token | the clips before it) in nats; -1 where it was not asked."""
    distance: float = -1.0
    """As `anomalies` has it; -1 where no alarms are wanted."""
    expected_per_hour: float = -1.0
    alarm: bool = False
    embedding: list[float] = field(default_factory=list)
    """Unit vector of a segment or row."""
    model: str = ""
    """Name of the embeddings, which begins with the model's spec."""


@dataclass(frozen=True, kw_only=True)
class Watch(Application[Watched]):
    """Follow a new video or a file that grows: labels, caption, forecast and alarms while it runs.

    videobert watch --root demo --file new.mp4

    videobert watch --root demo --file live.ts --follow 10 --per-hour 6

    Of each clip (1.5 s) it tells what fine-tuned models see in the clips up to it, what the nearest segment of the
    corpus says, what the model expects next and how unexpected the clip was; of each segment that has come to an end
    also whether it is unlike the reference. Once the file has ended come its rows, which equal those of a batch. Writes
    nothing into the root. Needs the extra `worker`.
    """

    as_it_goes: ClassVar[bool] = True

    file: str
    """Video on this machine. While it grows: a transport stream, Matroska, or fragmented MP4."""
    follow: float = 0.0
    """Go on until the file has not grown for so many seconds; 0: it is finished."""
    every: int = 1
    """Tell of every so-manieth clip; 0: only of segments and rows."""
    window: int = 4
    """Clips up to the last one that labels, caption and nearest segment look at."""
    horizon: int = 2
    """Clips that are foretold; 0: none."""
    tasks: str = ""
    """Fine-tuned models to ask, by their specs with commas between them; empty: all of this model."""
    per_hour: float = 0.0
    """Alarms per hour of video that is as it should be; 0: none."""
    nearest: int = 5
    """Segments of the reference whose distance counts."""
    reference: str = ""
    """Batches that are as they should be, separated by commas; empty: all."""
    encoder: str = "packaged"
    """The encoder that the model learnt from."""
    out: str = ""
    """Parquet file for the rows of the finished video, a path or a URL, in the schema of the embeddings."""

    def __post_init__(self) -> None:
        if not 0 <= self.follow < float("inf") or not 0 <= self.per_hour < float("inf"):
            raise InputError(f"follow {self.follow} and per_hour {self.per_hour} are finite and not negative")
        if self.every < 0 or self.horizon < 0 or self.window < 1 or self.nearest < 1:
            raise InputError(
                f"every {self.every} and horizon {self.horizon} are at least 0, window {self.window} and nearest "
                f"{self.nearest} at least 1"
            )
        if self.out and not self.out.endswith(".parquet"):
            raise InputError(f"{self.out!r} does not end in .parquet; the rows are written as such, so name it so")

    def answer(self, root: Root) -> Iterator[Watched]:
        store = Store(self.root)
        spec = resolve_embed_spec(store, self.model)
        path = Path(self.file)
        if not self.follow:
            _wait_for(path, patience=0.0)
        try:
            from videobert.applications.watch.heads import Heads
            from videobert.applications.watch.session import Session
        except ImportError as error:
            raise InputError(
                f"watching runs the model, and {error.name} is not installed; pip install 'videobert-pipeline[worker]'"
            ) from error
        with ExitStack() as stack:
            session = Session(store, spec, path, encoder=self.encoder, stack=stack)
            heads = Heads(store, spec.rsplit(".", 1)[0], [name for name in self.tasks.split(",") if name])
            usual = self._usual(store, spec)
            logger.info("ready to watch %s", path.name)
            _wait_for(path, patience=self.follow)
            try:
                yield from self._watched(session, heads, usual, spec)
            except VideoError as error:
                raise InputError(f"file {self.file!r} cannot be used, {error.reason}: {error}") from error

    def line(self, record: Watched) -> str:
        mark = {"clip": " ", "segment": "=", "row": "#"}[record.kind]
        best = [f"{max(shares, key=shares.__getitem__)} {max(shares.values()):.2f}" for shares in _shown(record.labels)]
        told = [*best, *([f"'{record.caption or record.like}'"] if record.caption or record.like else [])]
        told += [f"next '{record.forecast}'"] if record.forecast else []
        told += [f"surprise {record.surprise:.2f}"] if record.surprise >= 0 else []
        told += [f"{'ALARM ' if record.alarm else ''}{record.expected_per_hour:.2f}/h"] if record.distance >= 0 else []
        said = f"  {record.text!r}" if record.text else ""
        return f"{mark} {record.start_seconds:8.1f} s {', '.join(told)}{said}  {record.row_id}".rstrip()

    def execute(self) -> None:
        """Each line as soon as it is known, whoever reads them."""
        for record in self.answer(videobert.open(self.root)):
            print(json.dumps(asdict(record)) if self.json else self.line(record), flush=True)

    def _usual(self, store: Store, spec: str) -> Usual:
        from videobert.applications.watch.usual import Usual

        known = load_segments(open_embeddings(store, spec, parse_batch_keys(self.reference)))
        return Usual(known, per_hour=self.per_hour, nearest=self.nearest)

    def _watched(self, session: Session, heads: Heads, usual: Usual, spec: str) -> Iterator[Watched]:
        for clips in session.clips(follow=self.follow):
            if self.every and clips % self.every == 0:
                yield self._of_clip(session, heads, usual, spec, clips)
            for segment in session.closed():
                start, end = session.seconds(segment.first_clip, segment.last_clip)
                yield _of_span(
                    usual, heads.answers(session.video, segment.first_clip, segment.last_clip),
                    kind="segment", start_seconds=start, end_seconds=end, text=segment.text, model=spec,
                    embedding=session.vector(segment.first_clip, segment.last_clip).tolist(),
                )  # fmt: skip
        finished = session.finished
        vectors_NR = vectors_of(finished.table, "embedding").tolist()
        for row, vector in zip(finished.embedded.rows, vectors_NR, strict=True):
            span = (0, len(finished.video.visual))
            if row["level"] == "segment":
                segment = finished.video.segments[row["segment"]]
                span = (segment.first_clip, segment.last_clip)
            yield _of_span(
                usual, heads.answers(finished.video, *span), kind="row", row_id=row["row_id"], text=row["text"],
                start_seconds=row["start_seconds"], end_seconds=row["end_seconds"], embedding=vector, model=spec,
            )  # fmt: skip
        if self.out:
            write_file(self.out, table_bytes(finished.table))

    def _of_clip(self, session: Session, heads: Heads, usual: Usual, spec: str, clips: int) -> Watched:
        first = max(0, clips - self.window)
        start, end = session.seconds(clips - 1, clips)
        labels, caption = _said(heads.answers(session.video, first, clips))
        tokens, expected_R = session.forecast(self.horizon) if self.horizon else ([], None)
        said = [s.text for s in session.video.segments if s.text and s.first_clip < clips <= s.last_clip]
        return Watched(
            kind="clip", start_seconds=start, end_seconds=end, text=" ".join(said), labels=labels, caption=caption,
            like=usual.words_near(session.vector(first, clips)), next_tokens=tokens,
            forecast="" if expected_R is None else usual.words_near(expected_R),
            surprise=session.surprise() if clips > 1 else -1.0, model=spec,
        )  # fmt: skip


def _of_span(usual: Usual, answers: Mapping[str, Answer], *, embedding: Sequence[float], **told: Any) -> Watched:
    """A segment or row, judged."""
    import numpy as np

    vector_R = np.array(embedding, np.float32)
    labels, caption = _said(answers)
    found = usual.judge(vector_R)
    judged = {} if found is None else asdict(found)
    like = usual.words_near(vector_R)
    return Watched(**told, labels=labels, caption=caption, like=like, embedding=list(embedding), **judged)


def _said(answers: Mapping[str, Answer]) -> tuple[dict[str, dict[str, float]], str]:
    """Labels by task, and the caption of the task that writes."""
    labels = {
        spec: dict(zip(a.labels, a.scores, strict=True)) for spec, a in answers.items() if a.labels and not a.text
    }
    return labels, next((answer.text for answer in answers.values() if answer.text), "")


def _shown(labels: Mapping[str, Mapping[str, float]]) -> Iterator[Mapping[str, float]]:
    return (shares for _, shares in sorted(labels.items()) if shares)


def _wait_for(path: Path, *, patience: float) -> None:
    """A file that is to grow may not have begun. Raises InputError where it does not come."""
    until = time.monotonic() + patience
    while not (path.is_file() and (path.stat().st_size or not patience)):
        if time.monotonic() >= until:
            raise InputError(f"file {str(path)!r} is not there, or empty; give a video of this machine")
        time.sleep(0.1)
