"""Batches of the three regimes as a pure function of (videos, config, step): nothing to lose on a restart.

`[CLS] text [SEP]`, `[CLS] [>] video [SEP]`, `[CLS] text [>] video [SEP]`; type 0 up to the text, 1 from [>] on.
Step s takes the next entries of three endless shuffles (text, video, pairs); each example is drawn with its own
generator, keyed by (seed, stream, epoch, entry), so the batch of a step is the same for any number of workers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.masking import mask_tokens, text_replacements
from videobert.pretrain.pairs import SegmentIndex, Span, subsample
from videobert.pretrain.seeding import generator
from videobert.tokens.footage import Footage
from videobert.tokens.records import TokenizedVideo

__all__ = ["Example", "Part", "PretrainData", "layout", "layout_footage", "residual_rows", "sentence_number"]


_NONE: NDArray[np.int64] = np.empty(0, dtype=np.int64)


class Part(IntEnum):
    """Which cloze a masked token belongs to."""

    TEXT_ONLY = 0
    VIDEO_ONLY = 1
    JOINT_TEXT = 2
    JOINT_VIDEO = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One sequence, ready to be packed."""

    ids_L: NDArray[np.int64]
    """What the encoder sees."""
    types_L: NDArray[np.int64]
    """0 text, 1 video."""
    masked_M: NDArray[np.int64]
    """Positions to predict."""
    targets_M: NDArray[np.int64]
    """True ids at those positions."""
    parts_M: NDArray[np.int64]
    """`Part` of each position."""
    aligned: bool | None = None
    """Label of the video-text regime; None elsewhere."""
    partner: int = -1
    """Entry of the captioned segment behind a text-only or video-only example; -1 without text."""
    positions_L: NDArray[np.int64] | None = None
    """Position ids where clips are missing at the edge of a video; None counts from 0."""
    residuals_LK: NDArray[np.floating] | None = None
    """What the visual tokens dropped, zero elsewhere and where a clip is masked or replaced; None: nothing is kept."""
    said: Mapping[int, float] | None = None
    """Sentences of a contrast example by number: a text's own, or what is said over a video, and how much over it."""


def layout(
    text_N: NDArray[np.int64] | None, visual_N: NDArray[np.int64] | None, *, vocabulary: Vocabulary
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and types of one sequence, shape [L]; None leaves a modality out, [>] belongs to the video."""
    head = [vocabulary.cls] if text_N is None else [vocabulary.cls, *text_N]
    tail = [vocabulary.sep] if visual_N is None else [vocabulary.arrow, *visual_N, vocabulary.sep]
    ids_L = np.array(head + tail, dtype=np.int64)
    types_L = np.zeros(len(ids_L), dtype=np.int64)
    if visual_N is not None:
        types_L[len(head) :] = 1
    return ids_L, types_L


def layout_footage(
    text_N: NDArray[np.int64] | None, footage: Footage | None, *, vocabulary: Vocabulary
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None, slice]:
    """Ids, types, positions and the place of the clips of one sequence; surroundings are of type 0, as text is."""
    if footage is None:
        return *layout(text_N, None, vocabulary=vocabulary), None, slice(0, 0)
    ids_L, types_L = layout(text_N, vocabulary.visual_ids(footage.leaves), vocabulary=vocabulary)
    clips = slice(len(ids_L) - 1 - len(footage), len(ids_L) - 1)
    types_L[clips.start : clips.start + footage.first] = 0
    types_L[clips.start + footage.last : clips.stop] = 0
    if not footage.lead:
        return ids_L, types_L, None, clips
    positions_L = np.arange(len(ids_L))
    positions_L[clips.start :] += footage.lead
    return ids_L, types_L, positions_L, clips


class PretrainData:
    """The examples of every step."""

    def __init__(
        self, videos: Sequence[TokenizedVideo], *, vocabulary: Vocabulary, config: PretrainConfig, max_length: int
    ) -> None:
        self._config, self._vocabulary, self._max_length = config, vocabulary, max_length
        self.index = SegmentIndex(videos, vocabulary)
        if not self.index.captioned and not self.index.untexted:
            raise InputError("no video has a segment, so there is nothing to learn: check the token stage's output")
        self._text_pool = text_replacements(vocabulary)
        self._visual_pool = np.arange(vocabulary.first_visual, vocabulary.size, dtype=np.int64)
        self._orders: dict[str, tuple[int, NDArray[np.int64]]] = {}
        mixture = config.mixture
        shares = [mixture.text_only, mixture.video_only, mixture.video_text, mixture.contrast]
        shares = shares if self.index.captioned else [0, 1, 0, 0]
        self._texts, videos_a_step, self._pairs, self._contrast = _apportion(config.batch_size, shares)
        total = self.index.captioned + len(self.index.untexted)
        self._untexted = round(videos_a_step * len(self.index.untexted) / total)
        if videos_a_step and self.index.untexted:
            self._untexted = max(1, self._untexted)
        self._captioned_videos = videos_a_step - self._untexted

    @property
    def most_parts(self) -> int:
        """Into how many parts a batch divides with at least one example each."""
        return max(self._texts, self._captioned_videos, self._untexted, self._pairs, self._contrast)

    @property
    def steps(self) -> int:
        """Optimiser steps of the run: `config.steps`, or as many as `epochs` need."""
        return self._config.run_steps(self.steps_of)

    def steps_of(self, epochs: float) -> int:
        """Optimiser steps in which the largest regime passes over its segments so many times."""
        passes = [(self._pairs, self.index.captioned), (self._texts, self.index.captioned)]
        segments = self.index.captioned + len(self.index.untexted)
        passes += [(self._untexted + self._captioned_videos, segments), (self._contrast, segments)]
        count, size = max(passes)
        return max(1, math.ceil(epochs * size / count))

    @property
    def contrast_steps(self) -> int:
        """Optimiser steps in which the contrast regime passes over all segments once; 0 without it."""
        segments = self.index.captioned + len(self.index.untexted)
        return math.ceil(segments / self._contrast) if self._contrast else 0

    def examples(self, step: int, *, part: int = 0, parts: int = 1) -> list[Example]:
        """Examples `part`, `part` + `parts`, ... of every regime of a step; all parts together are the batch."""
        texts = self._entries("text", step, self._texts, self.index.captioned)
        # The video-only regime takes the videos of the same segments, so that InfoNCE costs no further sequence.
        extra = max(0, self._captioned_videos - self._texts)
        videos = texts[: self._captioned_videos] + self._entries("video", step, extra, self.index.captioned)
        untexted = self._entries("silent", step, self._untexted, len(self.index.untexted))
        pairs = self._entries("pair", step, self._pairs, self.index.captioned)
        return [
            *(self._text_only(*entry) for entry in texts[part::parts]),
            *(self._video_only(self.index.segment(entry), epoch, entry) for epoch, entry in videos[part::parts]),
            *(self._video_only(self.index.untexted[entry], epoch, ~entry) for epoch, entry in untexted[part::parts]),
            *(self._pair(*entry) for entry in pairs[part::parts]),
            *self._contrasted(step, part, parts),
        ]

    def _entries(self, stream: str, step: int, count: int, size: int) -> list[tuple[int, int]]:
        """(epoch, entry) of places step x count .. of the endless shuffle of `size` entries."""
        places = (divmod(place, size) for place in range(step * count, (step + 1) * count)) if count else ()
        return [(epoch, int(self._order(stream, epoch, size)[offset])) for epoch, offset in places]

    def _order(self, stream: str, epoch: int, size: int) -> NDArray[np.int64]:
        kept_epoch, order = self._orders.get(stream, (-1, np.empty(0, np.int64)))
        if kept_epoch != epoch:
            order = self._rng("order", stream, epoch).permutation(size)
            self._orders[stream] = (epoch, order)
        return order

    def _rng(self, *key: str | int) -> np.random.Generator:
        return generator(self._config.seed, *key)

    def _text_only(self, epoch: int, entry: int) -> Example:
        rng = self._rng("text", epoch, entry)
        text_N, _ = self._fit(self.index.text_ids(self.index.segment(entry)), None)
        return self._masked(text_N, None, parts=(Part.TEXT_ONLY, Part.VIDEO_ONLY), rng=rng, partner=entry)

    def _video_only(self, span: Span, epoch: int, entry: int) -> Example:
        rng = self._rng("video", epoch, entry)
        _, footage = self._fit(None, self._footage(span))
        partner = max(entry, -1)
        return self._masked(None, footage, parts=(Part.TEXT_ONLY, Part.VIDEO_ONLY), rng=rng, partner=partner)

    def _footage(self, span: Span) -> Footage:
        return self.index.footage(span, self.index.clip_numbers(span), around=self._config.context_clips)

    def _contrasted(self, step: int, part: int, parts: int) -> list[Example]:
        """The contrast regime: videos of segments with text and without, and the texts of the first, each once."""
        spans = [
            self.index.segment(entry)
            if entry < self.index.captioned
            else self.index.untexted[entry - self.index.captioned]
            for _, entry in self._entries(
                "contrast", step, self._contrast, self.index.captioned + len(self.index.untexted)
            )
        ][part::parts]
        examples, texts = [], dict[int, Example]()
        for span in spans:
            _, footage = self._fit(None, self._footage(span))
            said = {sentence_number(ids): near for ids, near in self.index.sentences_near(span).items()}
            examples.append(self._whole(None, footage, said=said))
            text_N = self.index.text_ids(span)
            number = sentence_number(tuple(text_N.tolist()))
            if len(text_N) and number not in texts:
                texts[number] = self._whole(self._fit(text_N, None)[0], None, said={number: 1.0})
        return [*texts.values(), *examples]

    def _whole(
        self, text_N: NDArray[np.int64] | None, footage: Footage | None, *, said: Mapping[int, float] | None = None,
        aligned: bool | None = None,
    ) -> Example:  # fmt: skip
        """An example in which nothing is masked."""
        ids_L, types_L, positions_L, clips = layout_footage(text_N, footage, vocabulary=self._vocabulary)
        return Example(
            ids_L=ids_L, types_L=types_L, positions_L=positions_L, aligned=aligned, said=said,
            residuals_LK=residual_rows(footage, len(ids_L), clips), masked_M=_NONE, targets_M=_NONE, parts_M=_NONE,
        )  # fmt: skip

    def _pair(self, epoch: int, entry: int) -> Example:
        config, rng = self._config, self._rng("pair", epoch, entry)
        extra = 0
        if config.concatenate_max and rng.random() < config.concatenate_probability:
            extra = int(rng.integers(1, config.concatenate_max + 1))
        span = self.index.around(entry, extra=extra, rng=rng)
        seen: Span | None = None
        if rng.random() < config.negative_fraction:
            seen = self.index.misaligned(span, negatives=config.negatives, rng=rng)
            if seen is None:  # the span holds all there is
                span = self.index.segment(entry)
                seen = self.index.misaligned(span, negatives=config.negatives, rng=rng)
        aligned = seen is None
        clips_N = self.index.clip_numbers(seen or span)[: self.index.clips(span)]
        clips_N = subsample(clips_N, rates=config.subsample_rates, rng=rng)
        footage = self.index.footage(seen or span, clips_N, around=config.context_clips)
        text_N, fitted = self._fit(self.index.text_ids(span), footage)
        if not config.joint_cloze:
            return self._whole(text_N, fitted, aligned=aligned)
        example = self._masked(
            text_N, fitted, parts=(Part.JOINT_TEXT, Part.JOINT_VIDEO), rng=rng, aligned=aligned,
            shares=_pair_shares(config, rng),
        )  # fmt: skip
        if aligned:
            return example
        # Misaligned pairs are masked like aligned ones, or the masks would give the label away; nothing is predicted.
        return replace(example, masked_M=_NONE, targets_M=_NONE, parts_M=_NONE)

    def _fit(
        self, text_N: NDArray[np.int64] | None, footage: Footage | None
    ) -> tuple[NDArray[np.int64] | None, Footage | None]:
        """Cut the ends so that the sequence fits: the longer side first, down to half of the room each."""
        if footage is None:
            return (None if text_N is None else text_N[: self._max_length - 2]), None
        room = self._max_length - 3 - self._config.context_clips  # as many clips may be missing in front
        if text_N is None:
            return None, footage.fitted(room)
        half = room // 2
        text_room = max(half, room - len(footage))
        text_N = text_N[:text_room]
        return text_N, footage.fitted(room - len(text_N))

    def _masked(
        self,
        text_N: NDArray[np.int64] | None,
        footage: Footage | None,
        *,
        parts: tuple[Part, Part],
        rng: np.random.Generator,
        aligned: bool | None = None,
        partner: int = -1,
        shares: tuple[float, float] | None = None,
    ) -> Example:
        """Mask words and clips, `shares` of them or `mask_probability`; a share of 0 leaves a side whole."""
        vocabulary, probability = self._vocabulary, self._config.mask_probability
        ids_L, types_L, positions_L, clips = layout_footage(text_N, footage, vocabulary=vocabulary)
        words = slice(1, 1 + (0 if text_N is None else len(text_N)))
        seen_L, masked, kinds = ids_L.copy(), [_NONE], [_NONE]
        sides = ((words, self._text_pool, vocabulary.specials), (clips, self._visual_pool, frozenset[int]()))
        for (side, pool, keep), part, share in zip(sides, parts, shares or (probability, probability), strict=True):
            if side.start == side.stop or not share:
                continue
            seen_N, chosen_M = mask_tokens(
                ids_L[side], probability=share, mask_id=vocabulary.mask, replacements=pool, keep=keep, rng=rng
            )
            seen_L[side] = seen_N
            masked.append(side.start + chosen_M)
            kinds.append(np.full(len(chosen_M), int(part), dtype=np.int64))
        residuals_LK = residual_rows(footage, len(ids_L), clips)
        if residuals_LK is not None:
            residuals_LK[seen_L != ids_L] = 0  # a residual would tell the token
        masked_M = np.concatenate(masked)
        return Example(
            ids_L=seen_L,
            types_L=types_L,
            positions_L=positions_L,
            residuals_LK=residuals_LK,
            masked_M=masked_M,
            targets_M=ids_L[masked_M],
            parts_M=np.concatenate(kinds),
            aligned=aligned,
            partner=partner,
        )


def sentence_number(text_ids: Sequence[int]) -> int:
    """A number for a sentence, never 0, the same on every worker."""
    data = np.asarray(text_ids, dtype=np.int64).tobytes()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True) | 1


def residual_rows(footage: Footage | None, length: int, clips: slice) -> NDArray[np.floating] | None:
    """Residuals of a sequence of `length` whose clips stand at `clips`, zero elsewhere; None without any."""
    if footage is None or footage.residuals is None:
        return None
    rows_LK = np.zeros((length, footage.residuals.shape[1]), dtype=np.float32)
    rows_LK[clips] = footage.residuals
    return rows_LK


def _pair_shares(config: PretrainConfig, rng: np.random.Generator) -> tuple[float, float] | None:
    """Shares of words and of clips to mask in a pair; None: the usual one of both."""
    if config.pair_masking == "both":
        return None
    words, share = rng.random() < 0.5, float(rng.uniform(config.mask_probability, 1.0))
    return (share, 0.0) if words else (0.0, share)


def _apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers that add up to `total` in the given proportion (largest remainder)."""
    exact = [total * share / sum(shares) for share in shares]
    counts = [math.floor(value) for value in exact]
    order = sorted(range(len(shares)), key=lambda i: (counts[i] - exact[i], i))
    for i in order[: total - sum(counts)]:
        counts[i] += 1
    return counts
