"""What a network sees of a span of video: its clips, what is said meanwhile, and its segments one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from videobert.tasks.base import Example, TaskNetwork
from videobert.tokens.footage import Footage
from videobert.tokens.records import TokenizedVideo

__all__ = ["Sight", "said_over"]

Words = tuple[int, ...]


def _what_is_said(said: Words) -> Words:
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The same in training and in prediction."""

    reads: str
    """`both`, `video` or `text`."""
    around: int
    """Clips on either side of a span that are read as well."""
    by_segment: bool = False
    """Whether the network reads a span segment by segment."""

    @classmethod
    def of(cls, network: TaskNetwork, settings: Mapping[str, Any]) -> Self:
        """That of a fine-tuned network, whose task.json is `settings`."""
        around = network.encoder.reading.context_clips
        return cls(reads=settings["reads"], around=around, by_segment=bool(settings.get("segment_layers")))

    def example(
        self,
        video: TokenizedVideo,
        first: int,
        last: int,
        *,
        words: Callable[[Words], Words] = _what_is_said,
        target: Any = None,
        options: tuple[Words, ...] = (),
    ) -> Example:
        """Clips first .. last-1, and what `words` makes of what is said over them."""
        segments = [s for s in video.segments if s.first_clip < last and first < s.last_clip] if self.by_segment else []
        return Example(
            video_id=video.video_id, target=target, options=options,
            footage=self._footage(video, first, last), text_ids=words(self._heard(said_over(video, first, last))),
            segments=tuple(
                Example(
                    video_id=video.video_id, text_ids=words(self._heard(s.text_ids)),
                    footage=self._footage(video, max(first, s.first_clip), min(last, s.last_clip)),
                )
                for s in segments
            ),
        )  # fmt: skip

    def _footage(self, video: TokenizedVideo, first: int, last: int) -> Footage | None:
        return video.footage(first, last, around=self.around) if self.reads != "text" else None

    def _heard(self, said: Words) -> Words:
        return said if self.reads != "video" else ()


def said_over(video: TokenizedVideo, first: int, last: int) -> Words:
    """Word ids of the sentences said over clips first .. last-1, in their order, each once."""
    sentences = [s.text_ids for s in video.segments if s.text_ids and s.first_clip < last and first < s.last_clip]
    return tuple(word for sentence in dict.fromkeys(sentences) for word in sentence)
