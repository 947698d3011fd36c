"""When, in the time of a sentence, do the pictures show what it says?

Narrators are late or early, and captions end long after what they tell of. One point of a cue and one shift, the same
for the whole corpus, are found as those from which a clip tells most about the words said there: the share of the
words' variance that ridge regression explains in videos that it was not fitted on.

N clips, K components of their features, W words, F folds of videos.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moment", "Narration", "find_moment"]

_POINTS = (0.0, 0.5, 1.0)
_SHIFTS = np.arange(-24, 25) * 0.125
_FOLDS = 4
_MOST_WORDS = 200
_LEAST_SAID = 20
_LEAST_CUES = 400
"""Of fewer, the best of so many hypotheses is chance."""
_RIDGE = 30.0
"""For components of unit variance: some tens of clips outweigh it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Where the moment of a sentence lies."""

    point: float = 0.5
    """In its time: 0 at its start, 1 at its end."""
    shift_seconds: float = 0.0
    """And so much later."""
    explained: float = 0.0
    """Share of the words' variance that a clip explains there."""
    explained_in_the_middle: float = 0.0
    """The same for the middle of the sentences."""

    def of(self, start_seconds: float, end_seconds: float) -> float:
        """Seconds into the video."""
        return start_seconds + self.point * (end_seconds - start_seconds) + self.shift_seconds

    def to_json(self) -> dict[str, float]:
        """What `Moment(**value)` takes."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Narration:
    """Clips of one video, any of them in time order, and its cues."""

    video_id: str
    rows_NK: NDArray[np.floating]
    """Components of the clips' features."""
    starts_N: NDArray[np.float64]
    """Seconds."""
    ends_N: NDArray[np.float64]
    """Seconds."""
    cues: Sequence[Mapping[str, Any]]
    """start_seconds, end_seconds, text."""


def find_moment(videos: Sequence[Narration]) -> Moment:
    """The moment from which clips tell most, in every fold more than from the middle, and something at all.

    Otherwise the middle, as where there is little narration. Does not depend on the order of the videos.
    """
    videos = sorted((v for v in videos if len(v.rows_NK)), key=lambda v: v.video_id)
    place = _frequent_words(videos)
    if len(videos) < _FOLDS or not place or sum(len(v.cues) for v in videos) < _LEAST_CUES:
        return Moment()
    folds_N = np.concatenate([np.full(len(v.rows_NK), number % _FOLDS) for number, v in enumerate(videos)])
    rows_NK = np.concatenate([v.rows_NK for v in videos]).astype(np.float64)
    rows_NK /= np.maximum(rows_NK.std(axis=0), 1e-9)
    regression = _Regression(np.concatenate([rows_NK, np.ones((len(rows_NK), 1))], axis=1), folds_N)
    said = [_Said(video, place) for video in videos]
    tried = {
        (point, shift): regression.explained(np.concatenate([video.at(point, shift) for video in said]))
        for point, shift in itertools.product(_POINTS, _SHIFTS.tolist())
    }
    # Of the variance in the middle at least: a shift that moves words out of short videos explains none of these.
    least_F = np.maximum(tried[0.5, 0.0][1], 1e-9)
    found = {moment: explained_F / np.maximum(of_F, least_F) for moment, (explained_F, of_F) in tried.items()}
    middle_F = found[0.5, 0.0]
    (point, shift), best_F = max(found.items(), key=lambda item: float(item[1].mean()))
    if not (best_F > np.maximum(middle_F, 0)).all():
        point, shift, best_F = 0.5, 0.0, middle_F
    return Moment(
        point=point, shift_seconds=shift, explained=round(float(best_F.mean()), 4),
        explained_in_the_middle=round(float(middle_F.mean()), 4),
    )  # fmt: skip


class _Regression:
    """Ridge regression from clips to words, fitted without a fold and tried on it."""

    def __init__(self, rows_NK: NDArray[np.float64], folds_N: NDArray[np.int64]) -> None:
        self._rows = [rows_NK[folds_N == fold] for fold in range(_FOLDS)]
        self._places = [np.flatnonzero(folds_N == fold) for fold in range(_FOLDS)]
        self._squares = [rows.T @ rows for rows in self._rows]
        ridge_KK = _RIDGE * np.eye(rows_NK.shape[1])
        self._inverses = [np.linalg.inv(sum(self._squares) - own + ridge_KK) for own in self._squares]

    def explained(self, words_NW: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Variance that is explained and all there is, each [F]."""
        said = [words_NW[places] for places in self._places]
        products = [rows.T @ words for rows, words in zip(self._rows, said, strict=True)]
        total_W = words_NW.sum(axis=0)
        explained, spreads = [], []
        for words, product, square, inverse in zip(said, products, self._squares, self._inverses, strict=True):
            fitted_KW = inverse @ (sum(products) - product)
            mean_W = (total_W - words.sum(axis=0)) / max(1, len(words_NW) - len(words))
            # Words are 0 or 1, so that their sum is that of their squares.
            left = words.sum() - 2 * (fitted_KW * product).sum() + (fitted_KW * (square @ fitted_KW)).sum()
            spread = words.sum() - 2 * (mean_W * words.sum(axis=0)).sum() + len(words) * (mean_W**2).sum()
            explained.append(spread - left)
            spreads.append(spread)
        return np.array(explained), np.array(spreads)


class _Said:
    """Every word of every cue, by video."""

    def __init__(self, video: Narration, place: Mapping[str, int]) -> None:
        said = [(cue, place[word]) for cue in video.cues for word in sorted(_words(cue) & place.keys())]
        self._starts_N, self._ends_N, self._words = video.starts_N, video.ends_N, len(place)
        self._from_M = np.array([cue["start_seconds"] for cue, _ in said], dtype=np.float64)
        self._to_M = np.array([cue["end_seconds"] for cue, _ in said], dtype=np.float64)
        self._columns_M = np.array([column for _, column in said], dtype=np.int64)

    def at(self, point: float, shift: float) -> NDArray[np.float64]:
        """Whether each word is said in a cue whose moment lies within the clip, 0 or 1, [N, W]."""
        times_M = self._from_M + point * (self._to_M - self._from_M) + shift
        clips_M = np.searchsorted(self._starts_N, times_M, side="right") - 1
        within_M = (clips_M >= 0) & (times_M < self._ends_N[clips_M])
        words_NW = np.zeros((len(self._starts_N), self._words))
        words_NW[clips_M[within_M], self._columns_M[within_M]] = 1
        return words_NW


def _frequent_words(videos: Sequence[Narration]) -> dict[str, int]:
    """Words of which there is something to learn, and their columns."""
    counts = Counter(word for video in videos for cue in video.cues for word in _words(cue))
    frequent = sorted((-count, word) for word, count in counts.items() if count >= _LEAST_SAID)[:_MOST_WORDS]
    return {word: column for column, (_, word) in enumerate(frequent)}


def _words(cue: Mapping[str, Any]) -> set[str]:
    return set(str(cue["text"]).lower().split())
