"""`recommend`: what a person may want to see next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

import videobert
from videobert.application import Application
from videobert.applications.recommend.histories import Histories, read_histories
from videobert.applications.recommend.run import Recommendation, Taste, popular, recommend_all, tastes
from videobert.applications.recommend.videos import Videos, load_videos
from videobert.batch_key import parse_batch_keys
from videobert.errors import InputError
from videobert.query.embeddings import open_embeddings, resolve_embed_spec
from videobert.runtime.record_files import write_records
from videobert.runtime.storage import Store

if TYPE_CHECKING:
    from videobert.api import Root

__all__ = ["Recommend", "Recommendation"]


@dataclass(frozen=True, kw_only=True)
class Recommend(Application[Recommendation]):
    """Recommend videos by what people watched, by a text, or by popularity.

    videobert recommend --root demo --history watched.parquet --out recommendations.parquet

    videobert recommend --root demo --history watched.parquet --person ada --top 5

    videobert recommend --root demo --watched VIDEO_ID,VIDEO_ID

    videobert recommend --root demo --text "stir the egg"

    A history is Parquet, CSV or JSON lines with the columns `person`, `video_id` (or `uri`, as the videos were
    ingested) and `time`. The nearest videos to the pooled vectors of what a person watched, newer views weighing
    more, without those that they have seen. Whoever has no history gets what fits --text, or what is popular.
    """

    history: str = ""
    """Path or URL of the table of views."""
    person: str = ""
    """Only this person of the history; empty: everyone."""
    watched: str = ""
    """What a person watched, as video ids separated by commas, in place of a history."""
    text: str = ""
    """What somebody without a history likes to see; runs the model (the extra `worker`)."""
    popular: bool = False
    """Give the most watched videos to a --person whom the history does not know, rather than an error."""
    top: int = 10
    """Videos per person."""
    diversity: float = 0.2
    """0: the nearest, however alike; towards 1: unlike each other (maximal marginal relevance)."""
    half_life_days: float = 30.0
    """A view of this age counts half as much as one of the last day."""
    batch: str = ""
    """Recommend only from these batches, separated by commas; histories may name videos of any."""
    out: str = ""
    """Parquet file to write the rows to, a path or a URL, whole or not at all; empty: print them."""

    def __post_init__(self) -> None:
        if self.top < 1:
            raise InputError(f"top is {self.top}; ask for at least 1 video per person")
        if not 0 <= self.diversity < 1:
            raise InputError(f"diversity is {self.diversity}; give 0 (the nearest) to less than 1")
        if not self.half_life_days > 0:
            raise InputError(f"half_life_days is {self.half_life_days}; give more than 0, such as 30")
        if bool(self.history) + bool(self.watched) + bool(self.text and not self.history) != 1:
            raise InputError("give one of a history, the videos that somebody watched, and a text such as 'soup'")
        if self.person and not self.history:
            raise InputError(f"person {self.person!r} is looked up in a history; give one with --history FILE")

    def answer(self, root: Root) -> Iterator[Recommendation]:
        store = Store(self.root)
        spec = resolve_embed_spec(store, self.model)
        videos = load_videos(open_embeddings(store, spec), parse_batch_keys(self.batch))
        histories = read_histories(self.history) if self.history else None
        popularity_N = np.zeros(len(videos), np.float32)
        if histories:
            popularity_N = popular(histories, videos, self.half_life_days)
        return recommend_all(
            self._wishes(root, videos, histories), videos, popularity_N=popularity_N, top=self.top,
            diversity=self.diversity, model=spec,
        )  # fmt: skip

    def line(self, record: Recommendation) -> str:
        who = f"{record.person:<16.16} " if record.person else ""
        return f"{who}{record.rank:>3} {record.score:6.3f}  {record.title:<28.28} {record.video_id[:16]}  {record.by}"

    def execute(self) -> None:
        if not self.out:
            super().execute()
            return
        tally = _Tally()
        rows = write_records(self.out, Recommendation, tally.counted(self.answer(videobert.open(self.root))))
        print(f"{rows:,} rows for {tally}; {self.out}")

    def _wishes(self, root: Root, videos: Videos, histories: Histories | None) -> Iterator[Taste]:
        """Whom to recommend to. What is wrong with the question is said before the first row."""
        text_R = root.encode(self.text, model=self.model) if self.text else None
        stranger = Taste(person=self.person, vector_R=text_R, by="popularity" if text_R is None else "text")
        if histories is None:
            return iter([self._of_watched(videos) if self.watched else stranger])
        if self.person and self.person not in histories.persons:
            if not (self.text or self.popular):
                raise InputError(
                    f"person {self.person!r} has no history in {self.history}, which knows "
                    f"{len(histories.persons):,} such as {histories.persons[0]!r}; say what they like with --text, or "
                    "take --popular"
                )
            return iter([stranger])
        only = [histories.persons.index(self.person)] if self.person else None
        found = tastes(histories, videos, self.half_life_days, only)
        return (replace(stranger, person=t.person) if t.vector_R is None else t for t in found)

    def _of_watched(self, videos: Videos) -> Taste:
        names = [name.strip() for name in self.watched.split(",") if name.strip()]
        places = videos.places(np.array(names, object))
        if not names or (places < 0).any():
            missing = next((name for name, place in zip(names, places, strict=True) if place < 0), "")
            raise InputError(
                f"video {missing!r} is not embedded below {self.root}; give ids as `videobert search` prints them, "
                "without the part after ':'"
            )
        one = Histories(
            persons=[""], person_E=np.zeros(len(names), np.int64), video_E=np.array(names, object),
            days_E=np.zeros(len(names)),
        )  # fmt: skip
        return next(tastes(one, videos, self.half_life_days))


class _Tally:
    """Counts rows on their way."""

    def __init__(self) -> None:
        self._persons: dict[str, int] = {}
        self._videos: set[str] = set()

    def counted(self, records: Iterable[Recommendation]) -> Iterator[Recommendation]:
        for record in records:
            if record.rank == 1:
                self._persons[record.by] = self._persons.get(record.by, 0) + 1
            self._videos.add(record.video_id)
            yield record

    def __str__(self) -> str:
        ways = ", ".join(f"{count:,} persons by {by}" for by, count in sorted(self._persons.items()))
        return f"{ways or 'nobody'}; {len(self._videos):,} different videos"
