"""Examples become tensors: packed tokens and what is asked about them.

T tokens, B sequences, M masked tokens, P pairs, R segments whose text and video are both in the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.model.packing import Packing, pack_lengths
from videobert.pretrain.data import Example

__all__ = ["Batch", "Contrast", "Tokens", "collate", "pack_sequences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Packed sequences."""

    ids_T: Tensor
    types_T: Tensor
    positions_T: Tensor
    packing: Packing
    residuals_NK: Tensor | None = None
    """What the visual tokens dropped, of the N clips that are seen; None: there are no residuals in the batch."""
    seen_N: Tensor | None = None
    """Their places among T: words and masks have none."""

    def to(self, device: torch.device) -> Tokens:
        """The same tokens on another device."""
        return Tokens(
            ids_T=self.ids_T.to(device),
            types_T=self.types_T.to(device),
            positions_T=self.positions_T.to(device),
            packing=self.packing.to(device),
            residuals_NK=None if self.residuals_NK is None else self.residuals_NK.to(device),
            seen_N=None if self.seen_N is None else self.seen_N.to(device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Sentences and spans of video that are to find each other: S sentences, C spans, at most E sentences a span."""

    texts_S: Tensor
    """Sequences of the sentences."""
    numbers_S: Tensor
    """Their numbers, int64; never 0."""
    videos_C: Tensor
    """Sequences of the spans."""
    said_CE: Tensor
    """Numbers of the sentences that are said over a span, 0 where there are fewer."""
    near_CE: Tensor
    """How much over it, 0 to 1."""

    def to(self, device: torch.device) -> Contrast:
        """The same on another device."""
        return Contrast(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Packed sequences and their questions; sequences count from the longest on."""

    tokens: Tokens
    masked_M: Tensor
    """Indices into T."""
    targets_M: Tensor
    """True ids."""
    parts_M: Tensor
    """`data.Part` of each masked token."""
    pairs_P: Tensor
    """Sequences of the video-text regime."""
    aligned_P: Tensor
    """1.0 aligned, 0.0 misaligned."""
    texts_R: Tensor
    """Text-only sequences ..."""
    videos_R: Tensor
    """... and the video-only sequences of the same segments."""
    sentences_R: Tensor
    """Equal numbers for equal sentences: these are no negatives of each other."""
    contrast: Contrast
    """The sequences of the contrast regime."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        moved = {field.name: getattr(self, field.name).to(device) for field in fields(self)}
        return Batch(**moved)


def pack_sequences(
    ids: Sequence[NDArray[np.int64]],
    types: Sequence[NDArray[np.int64]],
    positions: Sequence[NDArray[np.int64] | None] = (),
    residuals: Sequence[NDArray[np.floating] | None] = (),
) -> tuple[Tokens, NDArray[np.int64]]:
    """Pack sequences longest first; returns the tokens and, for every given sequence, its place among them.

    None among `positions` counts from 0, None among `residuals` has none.
    """
    lengths_B = np.array([len(row) for row in ids], dtype=np.int64)
    order_B = np.argsort(-lengths_B, kind="stable")
    place_B = np.empty(len(ids), dtype=np.int64)
    place_B[order_B] = np.arange(len(ids))
    residuals_NK, seen_N = _seen(residuals, lengths_B, order_B)
    tokens = Tokens(
        ids_T=torch.from_numpy(np.concatenate([ids[i] for i in order_B])),
        types_T=torch.from_numpy(np.concatenate([types[i] for i in order_B])),
        positions_T=torch.from_numpy(np.concatenate([_positions(positions, i, lengths_B[i]) for i in order_B])),
        packing=pack_lengths(lengths_B[order_B].tolist()),
        residuals_NK=residuals_NK,
        seen_N=seen_N,
    )
    return tokens, place_B


def collate(examples: Sequence[Example]) -> Batch:
    """Pack examples of any regime into one batch."""
    tokens, place_B = pack_sequences(
        [e.ids_L for e in examples],
        [e.types_L for e in examples],
        [e.positions_L for e in examples],
        [e.residuals_LK for e in examples],
    )
    first_B = tokens.packing.first_B.numpy()
    pairs = [i for i, e in enumerate(examples) if e.aligned is not None]
    texts, videos, sentences = _partners(examples)
    return Batch(
        tokens=tokens,
        masked_M=_indices([first_B[place_B[i]] + e.masked_M for i, e in enumerate(examples)]),
        targets_M=_indices([e.targets_M for e in examples]),
        parts_M=_indices([e.parts_M for e in examples]),
        pairs_P=torch.from_numpy(place_B[pairs]),
        aligned_P=torch.tensor([float(bool(examples[i].aligned)) for i in pairs], dtype=torch.float32),
        texts_R=torch.from_numpy(place_B[texts]),
        videos_R=torch.from_numpy(place_B[videos]),
        sentences_R=torch.tensor(sentences, dtype=torch.int64),
        contrast=_contrast(examples, place_B),
    )


def _indices(parts: Sequence[NDArray[np.int64]]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))


def _positions(positions: Sequence[NDArray[np.int64] | None], i: int, length: int) -> NDArray[np.int64]:
    given = positions[i] if positions else None
    return np.arange(length) if given is None else given


def _seen(
    residuals: Sequence[NDArray[np.floating] | None], lengths_B: NDArray[np.int64], order_B: NDArray[np.int64]
) -> tuple[Tensor | None, Tensor | None]:
    """Rows of residuals that are not zero, and their places among the packed tokens."""
    if all(rows_LK is None for rows_LK in residuals):
        return None, None
    first_B = np.cumsum(lengths_B[order_B]) - lengths_B[order_B]
    rows, places = [], []
    for first, number in zip(first_B, order_B, strict=True):
        if (rows_LK := residuals[number]) is not None:
            seen = np.flatnonzero(rows_LK.any(axis=1))
            rows.append(rows_LK[seen])
            places.append(first + seen)
    return torch.from_numpy(np.concatenate(rows).astype(np.float32)), _indices(places)


def _contrast(examples: Sequence[Example], place_B: NDArray[np.int64]) -> Contrast:
    spans = [i for i, e in enumerate(examples) if e.said is not None and e.types_L[-1] == 1]
    texts = [i for i, e in enumerate(examples) if e.said is not None and e.types_L[-1] == 0]
    said = [examples[i].said or {} for i in spans]
    said_CE = np.zeros((len(spans), max(map(len, said), default=0)), dtype=np.int64)
    near_CE = np.zeros(said_CE.shape, dtype=np.float32)
    for c, sentences in enumerate(said):
        said_CE[c, : len(sentences)] = list(sentences)
        near_CE[c, : len(sentences)] = list(sentences.values())
    return Contrast(
        texts_S=torch.from_numpy(place_B[texts]),
        numbers_S=torch.tensor([next(iter(examples[i].said or ())) for i in texts], dtype=torch.int64),
        videos_C=torch.from_numpy(place_B[spans]),
        said_CE=torch.from_numpy(said_CE),
        near_CE=torch.from_numpy(near_CE),
    )


def _partners(examples: Sequence[Example]) -> tuple[list[int], list[int], list[int]]:
    """Rows of the text-only and the video-only example of each segment that has both, and its sentence's number."""
    videos: dict[int, int] = {}
    texts: dict[int, int] = {}
    for i, example in enumerate(examples):
        if example.partner >= 0:
            side = videos if example.types_L[-1] == 1 else texts
            side.setdefault(example.partner, i)
    both = [key for key in texts if key in videos]
    sentences = [_sentence_number(examples[texts[key]]) for key in both]
    return [texts[key] for key in both], [videos[key] for key in both], sentences


def _sentence_number(example: Example) -> int:
    """A number for the sentence before it was masked, the same on every worker."""
    ids_L = example.ids_L.copy()
    ids_L[example.masked_M] = example.targets_M
    return int.from_bytes(hashlib.blake2b(ids_L.tobytes(), digest_size=8).digest(), "little", signed=True)
