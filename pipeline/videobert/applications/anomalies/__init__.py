"""`anomalies`: segments that are unlike what came before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import videobert
from videobert.application import Application
from videobert.applications.anomalies.core import distances, expected_per_hour, strangeness
from videobert.batch_key import parse_batch_keys
from videobert.errors import EmptyBatchError, InputError
from videobert.query.embeddings import embedding_manifests, open_embeddings, resolve_embed_spec
from videobert.query.model import open_model
from videobert.query.segments import Segments, load_segments
from videobert.runtime.record_files import NONE, write_records
from videobert.runtime.storage import Store

if TYPE_CHECKING:
    from videobert.api import Root

__all__ = ["Anomalies", "Anomaly"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """One segment and how strange it is."""

    row_id: str
    batch: str
    start_seconds: float
    end_seconds: float
    text: str
    title: str
    source_uri: str
    alarm: bool
    expected_per_hour: float
    """How many segments at least as strange come per hour of the reference."""
    distance: float
    """1 - the mean cosine to the nearest segments of other videos of the reference."""
    surprise: float = field(metadata={NONE: -1.0})
    """Mean negative log-likelihood of its visual tokens in nats; -1 where the model was not asked."""
    nearest: str
    """The nearest segment of the reference."""
    model: str
    """Name of the embeddings, which begins with the model's spec."""


@dataclass(frozen=True, kw_only=True)
class Anomalies(Application[Anomaly]):
    """Raise alarms for segments that are unlike the reference, at a rate of false alarms that you choose.

    videobert anomalies --root demo --batch 2026-01-03 --per-hour 6

    videobert anomalies --root demo --batch 2026-01-03 --per-hour 6 --surprise

    videobert anomalies --root demo --batch 2026-01-03 --every --out anomalies.parquet

    A segment is strange when the reference, by default all other batches, holds nothing like it; with --surprise also
    when the model does not expect its visual tokens among those around, as when steps come in the wrong order. What is
    as strange as the reference itself is --per-hour times an hour raises an alarm.
    """

    batch: str
    """Batches to look at, separated by commas."""
    reference: str = ""
    """Batches that are as they should be, separated by commas; empty: all others."""
    per_hour: float = 1.0
    """Alarms per hour of video that is as it should be."""
    surprise: bool = False
    """Also ask the model how likely the visual tokens are; needs the extra `worker`."""
    nearest: int = 5
    """Segments of the reference whose distance counts."""
    around: int = 8
    """Clips on either side of a clip from which the model expects it."""
    every: bool = False
    """All segments with their scores, not alarms only."""
    out: str = ""
    """Parquet file to write the rows to, a path or a URL; empty: print them."""

    def __post_init__(self) -> None:
        if not self.per_hour > 0:
            raise InputError(f"per_hour is {self.per_hour}; give more than 0 alarms per hour, such as 1")
        if self.nearest < 1 or self.around < 1:
            raise InputError(f"nearest {self.nearest} and around {self.around} are at least 1")
        if not parse_batch_keys(self.batch):
            raise InputError("batch is empty; name the batches to look at, such as --batch 2026-01-03")

    def answer(self, root: Root) -> Iterator[Anomaly]:
        store = Store(self.root)
        spec = resolve_embed_spec(store, self.model)
        asked, reference = parse_batch_keys(self.batch), self._reference(store, spec)
        known = load_segments(open_embeddings(store, spec, reference))
        hours = known.hours
        if self.per_hour * hours < 1:
            raise (InputError if self.reference else EmptyBatchError)(
                f"{self.per_hour:g} alarms per hour are fewer than one in the {hours:.2f} hours of the reference; "
                "give a higher rate or more batches as reference"
            )
        new = load_segments(open_embeddings(store, spec, asked))
        surprise_N, surprise_Q = (
            self._surprises(store, spec, batches, part) for batches, part in ((reference, known), (asked, new))
        )
        return self._judged(new, known, surprise_Q, surprise_N, spec)

    def line(self, record: Anomaly) -> str:
        mark = "ALARM" if record.alarm else "     "
        surprise = f" {record.surprise:5.2f}" if record.surprise >= 0 else ""
        scores = f"{mark} {record.expected_per_hour:7.2f}/h {record.distance:5.3f}{surprise}"
        return f"{scores}  {record.title:<24.24} {record.start_seconds:7.1f} s  {record.row_id}"

    def execute(self) -> None:
        if not self.out:
            super().execute()
            return
        rows = write_records(self.out, Anomaly, self.answer(videobert.open(self.root)))
        print(f"{rows:,} {'segments' if self.every else 'alarms'}: {self.out}")

    def _reference(self, store: Store, spec: str) -> tuple[str, ...]:
        if self.reference:
            return parse_batch_keys(self.reference)
        others = [m.batch for m in embedding_manifests(store, spec) if m.batch not in parse_batch_keys(self.batch)]
        if not others:
            raise EmptyBatchError(
                f"no batch but {self.batch} is embedded, so nothing tells what is usual; embed another"
            )
        return tuple(others)

    def _surprises(self, store: Store, spec: str, batches: Sequence[str], segments: Segments) -> NDArray[np.float64]:
        """Of every segment, [N]; empty [0] where nobody asked."""
        if not self.surprise:
            return np.empty(0)
        from videobert.applications.anomalies.surprise import surprises

        found = surprises(open_model(store, spec.rpartition(".")[0]), batches, around=self.around)
        if missing := [row_id for row_id in segments.row_ids if row_id not in found]:
            raise InputError(
                f"the tokens of {missing[0]} and {len(missing) - 1} other segments are gone; run the stage tokens of "
                "their batches again, or leave --surprise out"
            )
        return np.array([found[row_id] for row_id in segments.row_ids])

    def _judged(
        self,
        new: Segments,
        known: Segments,
        surprise_Q: NDArray[np.float64],
        surprise_N: NDArray[np.float64],
        spec: str,
    ) -> Iterator[Anomaly]:
        number_of = {name: number for number, name in enumerate(dict.fromkeys(known.videos + new.videos))}
        video_N, video_Q = (np.array([number_of[name] for name in part.videos]) for part in (known, new))
        (distance_N, _), (distance_Q, place_Q) = (
            distances(part.vectors_NR, known.vectors_NR, nearest=self.nearest, asked_video_Q=video, video_N=video_N)
            for part, video in ((known, video_N), (new, video_Q))
        )
        usual_NS, asked_QS = _columns(distance_N, surprise_N), _columns(distance_Q, surprise_Q)
        share_N, share_Q = strangeness(usual_NS, usual_NS), strangeness(asked_QS, usual_NS)
        rate_Q = expected_per_hour(share_Q, share_N, known.hours)
        for place, row in enumerate(new.rows):
            alarm = bool(rate_Q[place] <= self.per_hour)
            if alarm or self.every:
                yield Anomaly(
                    **row, alarm=alarm, expected_per_hour=float(rate_Q[place]), distance=float(distance_Q[place]),
                    surprise=float(surprise_Q[place]) if len(surprise_Q) else -1.0,
                    nearest=known.row_ids[int(place_Q[place])], model=spec,
                )  # fmt: skip


def _columns(distance_N: NDArray[np.float32], surprise_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores that there are, side by side, [N, S]."""
    return np.stack([distance_N.astype(np.float64), *([surprise_N] if len(surprise_N) else [])], axis=1)
