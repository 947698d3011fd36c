"""Lists for one person or for all of a history, a block of persons at a time.

N videos, P persons of a block, E events, C candidates, R width of the retrieval space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from videobert.applications.recommend.core import decayed, diverse, pooled, popularity
from videobert.applications.recommend.histories import Histories
from videobert.applications.recommend.videos import Videos

__all__ = ["Recommendation", "Taste", "popular", "recommend_all", "tastes"]

_SCORES_AT_ONCE = 1 << 26
"""256 MB of cosines."""
_CANDIDATES_PER_PLACE = 10
"""The nearest videos among which diversity chooses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One video for one person."""

    person: str
    rank: int
    """From 1."""
    video_id: str
    title: str
    source_uri: str
    score: float
    """Cosine to the pooled history or the text; of `popularity` the video's share of all views."""
    by: str
    """`history`, `text` or `popularity`."""
    because: str
    """The watched video nearest to this one; empty where there was none."""
    model: str
    """Name of the embeddings, which begins with the model's spec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """One person: what to look for, and what they know."""

    person: str
    vector_R: NDArray[np.float32] | None
    """Unit vector; None: nothing is known, popularity decides."""
    by: str
    """`history`, `text` or `popularity`."""
    seen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Places of the watched videos."""


def tastes(
    histories: Histories, videos: Videos, half_life_days: float, only: Sequence[int] | None = None
) -> Iterator[Taste]:
    """Of all persons, or of some by their number; without a vector where none of their videos is embedded."""
    place_E = videos.places(histories.video_E)
    weight_E = decayed(histories.days_E, half_life_days)
    for person in range(len(histories.persons)) if only is None else only:
        own = histories.events_of(person)
        known_E = place_E[own] >= 0
        seen = place_E[own][known_E]
        vector_R = pooled(videos.vectors_NR[seen], weight_E[own][known_E]) if len(seen) else None
        yield Taste(
            person=histories.persons[person], vector_R=vector_R, by="popularity" if vector_R is None else "history",
            seen=np.unique(seen),
        )  # fmt: skip


def popular(histories: Histories, videos: Videos, half_life_days: float) -> NDArray[np.float32]:
    """Share of the weighted views of each video, float32 [N]."""
    place_E = videos.places(histories.video_E)
    known_E = place_E >= 0
    return popularity(place_E[known_E], decayed(histories.days_E, half_life_days)[known_E], len(videos))


def recommend_all(
    wishes: Iterator[Taste],
    videos: Videos,
    *,
    popularity_N: NDArray[np.float32],
    top: int,
    diversity: float,
    model: str,
) -> Iterator[Recommendation]:
    """Up to `top` unseen videos for each, in the order of the tastes. Memory: the vectors, and 256 MB of cosines."""
    block = max(1, _SCORES_AT_ONCE // len(videos))
    while some := [taste for taste, _ in zip(wishes, range(block), strict=False)]:
        known = [taste.vector_R for taste in some if taste.vector_R is not None]
        score_PN = iter(np.stack(known) @ videos.vectors_NR.T if known else ())
        for taste in some:
            score_N = popularity_N if taste.vector_R is None else next(score_PN)
            yield from _listed(taste, videos, score_N, top, diversity, model)


def _listed(
    taste: Taste, videos: Videos, score_N: NDArray[np.float32], top: int, diversity: float, model: str
) -> Iterator[Recommendation]:
    open_N = videos.wanted_N.copy()
    open_N[taste.seen] = False
    place_C = np.flatnonzero(open_N)
    if taste.vector_R is None:  # shares and cosines do not compare, so nothing is traded for diversity
        place_C = place_C[_best(score_N[place_C], top)]
        score_C = score_N[place_C]
    else:
        place_C = np.sort(place_C[_best(score_N[place_C], top * _CANDIDATES_PER_PLACE)])
        # Row by row: the same for a person alone as among others, which a matrix product does not give.
        score_C = np.vecdot(videos.vectors_NR[place_C], taste.vector_R)
        chosen = diverse(score_C, videos.vectors_NR[place_C], top=top, diversity=diversity)
        place_C, score_C = place_C[chosen], score_C[chosen]
    for rank, (place, score) in enumerate(zip(place_C.tolist(), score_C.tolist(), strict=True), start=1):
        yield Recommendation(
            person=taste.person, rank=rank, video_id=videos.ids[place], title=videos.titles[place],
            source_uri=videos.uris[place], score=score, by=taste.by, model=model,
            because=_nearest_seen(taste, videos, place),
        )  # fmt: skip


def _best(score_C: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Places of the highest, best first; of equals the first."""
    if count < len(score_C):
        least = np.partition(score_C, -count)[-count]
        among = np.flatnonzero(score_C >= least)
    else:
        among = np.arange(len(score_C))
    return among[np.argsort(-score_C[among], kind="stable")[:count]]


def _nearest_seen(taste: Taste, videos: Videos, place: int) -> str:
    if not len(taste.seen):
        return ""
    cosine_S = np.vecdot(videos.vectors_NR[taste.seen], videos.vectors_NR[place])
    return videos.ids[int(taste.seen[np.argmax(cosine_S)])]
