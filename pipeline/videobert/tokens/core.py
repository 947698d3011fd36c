"""Pure parts of tokenisation: cues to sentences, sentences to segments of clips, and their JSON form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videobert.tokens.config import TokensConfig
from videobert.tokens.phrases import ends_in_mid_phrase, stand_alone
from videobert.tokens.records import Segment, TokenizedVideo

__all__ = ["Sentence", "from_json", "make_segments", "split_sentences", "to_json"]

_SENTENCE_END = re.compile(r"(?:(?<=[.!?…])|(?<=[.!?…][\"')\]])|(?<=[.!?…][\"')\]]{2}))\s+")
_GAP_SECONDS = 1e-3
"""Times of clips are floats: less is no gap, and a lost clip is far more."""
_SHORT = 2
"""Clips of a sentence that is about one moment."""
_ENDS = re.compile(r"[.!?…][\"')\]]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence and when it is spoken, in seconds."""

    start_seconds: float
    end_seconds: float
    text: str


def split_sentences(cues: Sequence[Mapping[str, Any]], config: TokensConfig) -> list[Sentence]:
    """Sentences of cues {start_seconds, end_seconds, text} in time order.

    A cue that holds several sentences is cut at their ends and at the word limit, its time shared by characters. Cues
    are joined until punctuation, a pause or the word limit ends the sentence; captions without any punctuation are
    joined only until `min_sentence_seconds`, since nothing says where their sentences end, or, with `cues` = alone,
    not at all where they stand alone.
    """
    pieces = [piece for cue in cues for piece in _cut(cue, max_words=config.max_sentence_words)]
    punctuated = any(_ENDS.search(piece.text) for piece in pieces)
    alone = config.cues == "alone" and not punctuated and stand_alone([str(cue["text"]) for cue in cues])
    sentences: list[Sentence] = []
    open_piece: Sentence | None = None
    for piece in pieces:
        if open_piece is not None:
            words = len(open_piece.text.split()) + len(piece.text.split())
            pause = piece.start_seconds - open_piece.end_seconds
            if pause > config.max_pause_seconds or words > config.max_sentence_words:
                sentences.append(open_piece)
                open_piece = None
        joined = piece if open_piece is None else _join(open_piece, piece)
        whole = joined.end_seconds - joined.start_seconds >= config.min_sentence_seconds
        if alone:
            whole = not ends_in_mid_phrase(joined.text)
        if _ENDS.search(joined.text) or (not punctuated and whole):
            sentences.append(joined)
            open_piece = None
        else:
            open_piece = joined
    return [*sentences, open_piece] if open_piece else sentences


def make_segments(
    sentences: Sequence[Sentence],
    clip_starts_N: NDArray[np.float64],
    clip_ends_N: NDArray[np.float64],
    *,
    tokenize: Callable[[str], list[int]],
    config: TokensConfig,
    moment: Callable[[float, float], float] | None = None,
) -> tuple[Segment, ...]:
    """Segments of one video in time order.

    A sentence takes the clips whose middle lies in it, or the one clip that shows its middle; if it is short, it may
    take the one that shows its moment instead, where there is one (`TokensConfig.short_sentences`). One that is spoken
    where no clip is, beyond the last clip or where damage took them, has no segment. Spans that no sentence takes are
    cut into segments of `clips_per_segment` clips without text, none of which reaches over a gap in time. `moment`
    tells from start and end when a sentence's pictures are seen, their middle if None.
    """
    moment = moment or (lambda start, end: (start + end) / 2)
    middles_N = (clip_starts_N + clip_ends_N) / 2
    segments: list[Segment] = []
    free = np.ones(len(middles_N), dtype=bool)
    for sentence in sentences:
        first = int(np.searchsorted(middles_N, sentence.start_seconds, side="left"))
        last = int(np.searchsorted(middles_N, sentence.end_seconds, side="left"))
        if last <= first:
            middle = (sentence.start_seconds + sentence.end_seconds) / 2
            first = int(np.abs(middles_N - middle).argmin())
            if not clip_starts_N[first] <= middle < clip_ends_N[first]:
                continue
            last = first + 1
        ids = tokenize(sentence.text)
        if not ids:
            continue
        at = moment(sentence.start_seconds, sentence.end_seconds)
        place = float(np.interp(at, middles_N, np.arange(len(middles_N)) + 0.5))
        if config.short_sentences == "moment":
            first, last = _shown(first, last, at, clip_starts_N, clip_ends_N)
        free[first:last] = False
        segment = _segment(first, last, clip_starts_N, clip_ends_N, text=sentence.text, ids=tuple(ids))
        if config.cues == "alone":
            segment = replace(segment, said_at=place)
        segments.append(segment)
    for first, last in _runs(free, gaps=clip_starts_N[1:] - clip_ends_N[:-1] > _GAP_SECONDS):
        for start in range(first, last, config.clips_per_segment):
            end = min(start + config.clips_per_segment, last)
            segments.append(_segment(start, end, clip_starts_N, clip_ends_N, text="", ids=()))
    return tuple(sorted(segments, key=lambda s: (s.first_clip, s.last_clip, s.text)))


def to_json(video: TokenizedVideo, **lineage: Any) -> dict[str, Any]:
    """A JSON object for the tar; `lineage` is stored with the tokens."""
    segments = [
        {
            "start_seconds": s.start_seconds, "end_seconds": s.end_seconds, "first_clip": s.first_clip,
            "last_clip": s.last_clip, "text": s.text, "text_ids": list(s.text_ids),
        } | ({} if s.said_at is None else {"said_at": s.said_at})
        for s in video.segments
    ]  # fmt: skip
    return {**lineage, "video_id": video.video_id, "visual": video.visual.tolist(), "segments": segments}


def from_json(value: Mapping[str, Any]) -> TokenizedVideo:
    """The inverse of `to_json`, without the lineage; `residuals`, where there are any, come as an array."""
    segments = tuple(Segment(**{**s, "text_ids": tuple(s["text_ids"])}) for s in value["segments"])
    return TokenizedVideo(
        video_id=value["video_id"], visual=np.array(value["visual"], dtype=np.int32), segments=segments,
        residuals=value.get("residuals"),
    )  # fmt: skip


def _shown(first: int, last: int, at: float, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> tuple[int, int]:
    """The one clip that shows the moment `at` of a short sentence; its own clips where none does, or one was lost."""
    clip = int(np.searchsorted(starts, at, side="right")) - 1
    lost = last - first == _SHORT and starts[last - 1] - ends[first] > _GAP_SECONDS
    if last - first > _SHORT or lost or clip < 0 or at >= ends[clip]:
        return first, last
    return clip, clip + 1


def _cut(cue: Mapping[str, Any], *, max_words: int) -> list[Sentence]:
    texts = []
    for sentence in _SENTENCE_END.split(cue["text"].strip()):
        words = sentence.split()
        texts += [" ".join(words[start : start + max_words]) for start in range(0, len(words), max_words)]
    total = sum(len(text) for text in texts)
    start, pieces = float(cue["start_seconds"]), []
    duration = float(cue["end_seconds"]) - start
    for text in texts:
        end = start + duration * len(text) / total
        pieces.append(Sentence(start_seconds=start, end_seconds=end, text=text))
        start = end
    return pieces


def _join(a: Sentence, b: Sentence) -> Sentence:
    end = max(a.end_seconds, b.end_seconds)
    return Sentence(start_seconds=a.start_seconds, end_seconds=end, text=f"{a.text} {b.text}")


def _runs(free: NDArray[np.bool_], *, gaps: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Ranges of free clips that follow one another in time; `gaps[i]` tells of one between the clips i and i + 1."""
    joined = free[1:] & free[:-1] & ~gaps
    first_N = np.flatnonzero(free & ~np.concatenate(([False], joined)))
    last_N = np.flatnonzero(free & ~np.concatenate((joined, [False])))
    return list(zip(first_N.tolist(), (last_N + 1).tolist(), strict=True))


def _segment(
    first: int, last: int, starts: NDArray[np.float64], ends: NDArray[np.float64], *, text: str, ids: tuple[int, ...]
) -> Segment:
    return Segment(
        start_seconds=float(starts[first]), end_seconds=float(ends[last - 1]), first_clip=first, last_clip=last,
        text=text, text_ids=ids,
    )  # fmt: skip
