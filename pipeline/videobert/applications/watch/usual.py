"""What the corpus says of a span: what is nearest to it, and whether the like of it is rare there.

N segments, R width of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videobert.applications.anomalies.core import distances, expected_per_hour, strangeness
from videobert.errors import InputError
from videobert.query.segments import Segments

__all__ = ["Judgement", "Usual"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """As `anomalies` judges a segment of a batch."""

    distance: float
    expected_per_hour: float
    alarm: bool


class Usual:
    """Segments of the reference, with their distances where alarms are wanted (`per_hour` above 0)."""

    def __init__(self, known: Segments, *, per_hour: float, nearest: int) -> None:
        self._known, self._per_hour, self._nearest = known, per_hour, nearest
        numbers = {name: number for number, name in enumerate(dict.fromkeys(known.videos))}
        self._video_N = np.array([numbers[name] for name in known.videos])
        self._said_N = np.array([bool(row["text"]) for row in known.rows])
        if not per_hour:
            return
        if per_hour * known.hours < 1:
            raise InputError(
                f"{per_hour:g} alarms per hour are fewer than one in the {known.hours:.2f} hours of the reference; "
                "give a higher --per-hour, or more batches as --reference"
            )
        distance_N, _ = distances(
            known.vectors_NR, known.vectors_NR, nearest=nearest, asked_video_Q=self._video_N, video_N=self._video_N
        )
        self._distance_N1 = distance_N.astype(np.float64)[:, None]
        self._share_N = strangeness(self._distance_N1, self._distance_N1)

    def words_near(self, vector_R: NDArray[np.float32]) -> str:
        """What is said over the segment nearest to a vector, of those over which something is said."""
        if not self._said_N.any():
            return ""
        cosine_N = np.where(self._said_N, self._known.vectors_NR @ vector_R, -np.inf)
        return str(self._known.rows[int(cosine_N.argmax())]["text"])

    def judge(self, vector_R: NDArray[np.float32]) -> Judgement | None:
        """None where no alarms are wanted."""
        if not self._per_hour:
            return None
        (distance,), _ = distances(
            vector_R[None], self._known.vectors_NR, nearest=self._nearest, asked_video_Q=np.array([-1]),
            video_N=self._video_N,
        )  # fmt: skip
        share_1 = strangeness(np.array([[distance]], np.float64), self._distance_N1)
        rate = float(expected_per_hour(share_1, self._share_N, self._known.hours)[0])
        return Judgement(distance=float(distance), expected_per_hour=rate, alarm=rate <= self._per_hour)
