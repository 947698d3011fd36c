"""People with planted interests: topics of videos, a few liked by each person, and unrelated popularity.

V videos, R width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["PlantedViews", "ndcg", "plant_views"]


@dataclass(frozen=True, kw_only=True)
class PlantedViews:
    """Views until today, and what each person would like of the rest."""

    views: pa.Table
    """person, video_id, time."""
    liked: dict[str, set[str]]
    """Unseen videos of the person's topics."""
    newest: dict[str, int]
    """Topic of what the person watched in the last days."""
    topic_V: NDArray[np.int64]
    vectors_VR: NDArray[np.float32]


def plant_views(
    ids: list[str], *, persons: int, topics: int = 20, views: int = 12, stray: float = 0.3, seed: int = 0
) -> PlantedViews:
    """A person likes two topics, the second only in the last week; a share of views goes to what is popular.

    Vectors of a topic have a cosine of about .5.
    """
    rng = np.random.default_rng(seed)
    topic_V = rng.integers(topics, size=len(ids))
    centre_TR = _unit(rng.standard_normal((topics, 32)))
    vectors_VR = _unit(centre_TR[topic_V] + _unit(rng.standard_normal((len(ids), 32))))
    popularity_V = 1 / rng.permutation(np.arange(1, len(ids) + 1))
    rows, liked, newest = [], {}, {}
    for number in range(persons):
        person, (first, second) = f"p{number:04d}", rng.choice(topics, 2, replace=False)
        seen = set()
        for view in range(views):
            recent = view >= views - views // 3
            among_V = (
                popularity_V * (topic_V == (second if recent else first)) if rng.random() >= stray else popularity_V
            )
            video = int(rng.choice(len(ids), p=among_V / among_V.sum()))
            seen.add(video)
            rows.append((person, ids[video], float(86_400 * (360 + view if recent else view))))
        liked[person] = {ids[v] for v in np.flatnonzero(np.isin(topic_V, (first, second))) if v not in seen}
        newest[person] = int(second)
    columns = zip(*rows, strict=True)
    return PlantedViews(
        views=pa.table(dict(zip(("person", "video_id", "time"), columns, strict=True))), liked=liked, newest=newest,
        topic_V=topic_V, vectors_VR=vectors_VR,
    )  # fmt: skip


def ndcg(listed: list[str], liked: set[str], *, k: int = 10) -> float:
    """Normalised discounted cumulative gain of a list, a liked video counting 1."""
    gain = sum(1 / np.log2(place + 2) for place, video in enumerate(listed[:k]) if video in liked)
    return float(gain / sum(1 / np.log2(place + 2) for place in range(min(k, len(liked)))))


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)
