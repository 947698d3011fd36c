"""Sequences of different length side by side without padding.

Dense layers see the T real tokens of a batch and nothing else. Attention pads only within a bucket of sequences of
similar length.

T tokens of all sequences, B sequences, L longest sequence of a bucket, H heads, D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import AttentionInterface

__all__ = ["ATTENTION", "Packing", "pack_lengths"]

ATTENTION = "videobert_packed"
"""Name under which transformers finds `packed_attention`."""

BUCKET_RATIO = 0.6
"""A sequence shorter than this share of its bucket's longest opens a new bucket."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens first .. last-1 belong to `rows` sequences that are padded to `width` for attention."""

    first: int
    last: int
    rows: int
    width: int
    slot_T: Tensor | None
    """Place of each token in the padded [rows x width]; None when all sequences fill it."""
    real_B11L: Tensor | None
    """True where a padded place holds a token."""


@dataclass(frozen=True, slots=True)
class Packing:
    """How T tokens divide into sequences, longest first."""

    first_B: Tensor
    """Index of the first token of every sequence ([CLS]), int64."""
    edges: Tensor
    """Cumulated lengths, int32 [B + 1]."""
    longest: int
    buckets: tuple[Bucket, ...]

    def to(self, device: torch.device) -> Packing:
        """The same packing on another device."""
        buckets = tuple(
            Bucket(b.first, b.last, b.rows, b.width, _to(b.slot_T, device), _to(b.real_B11L, device))
            for b in self.buckets
        )
        return Packing(self.first_B.to(device), self.edges.to(device), self.longest, buckets)


def _to(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


def pack_lengths(lengths: Sequence[int]) -> Packing:
    """Plan the packing of sequences whose lengths come in descending order."""
    lengths_B: NDArray[np.int64] = np.asarray(lengths, dtype=np.int64)
    if len(lengths_B) == 0 or lengths_B[-1] < 1 or bool((np.diff(lengths_B) > 0).any()):
        raise ValueError(f"packing needs positive lengths in descending order, got {list(lengths)[:8]}")
    edges = np.concatenate([[0], np.cumsum(lengths_B)])
    buckets, row = [], 0
    while row < len(lengths_B):
        width = int(lengths_B[row])
        end = row + int(np.count_nonzero(lengths_B[row:] >= BUCKET_RATIO * width))
        buckets.append(_bucket(lengths_B[row:end], int(edges[row]), int(edges[end]), width))
        row = end
    return Packing(
        first_B=torch.from_numpy(edges[:-1].copy()),
        edges=torch.from_numpy(edges.astype(np.int32)),
        longest=int(lengths_B[0]),
        buckets=tuple(buckets),
    )


def _bucket(lengths_B: NDArray[np.int64], first: int, last: int, width: int) -> Bucket:
    if bool((lengths_B == width).all()):
        return Bucket(first, last, len(lengths_B), width, None, None)
    real_BL = np.arange(width)[None, :] < lengths_B[:, None]
    slot_T = torch.from_numpy(np.flatnonzero(real_BL))
    return Bucket(first, last, len(lengths_B), width, slot_T, torch.from_numpy(real_BL)[:, None, None, :])


def packed_attention(
    module: torch.nn.Module,
    query_1HTD: Tensor,
    key_1HTD: Tensor,
    value_1HTD: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: Packing,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,  # what transformers passes to every attention function
) -> tuple[Tensor, None]:
    """Full attention within each sequence; returns [1, T, H, D]."""
    q, k, v = (x.squeeze(0).transpose(0, 1) for x in (query_1HTD, key_1HTD, value_1HTD))
    out = [_bucket_attention(q, k, v, bucket, dropout, scaling) for bucket in packing.buckets]
    return torch.cat(out).unsqueeze(0), None


def _bucket_attention(
    q_THD: Tensor, k_THD: Tensor, v_THD: Tensor, bucket: Bucket, dropout: float, scaling: float | None
) -> Tensor:
    padded = [_pad(x[bucket.first : bucket.last], bucket) for x in (q_THD, k_THD, v_THD)]
    q, k, v = (x.view(bucket.rows, bucket.width, *x.shape[1:]).transpose(1, 2) for x in padded)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bucket.real_B11L, dropout_p=dropout, scale=scaling)
    out_THD = out.transpose(1, 2).reshape(bucket.rows * bucket.width, *q_THD.shape[1:])
    return out_THD if bucket.slot_T is None else out_THD.index_select(0, bucket.slot_T)


def _pad(x_THD: Tensor, bucket: Bucket) -> Tensor:
    if bucket.slot_T is None:
        return x_THD
    return x_THD.new_zeros(bucket.rows * bucket.width, *x_THD.shape[1:]).index_copy(0, bucket.slot_T, x_THD)


AttentionInterface.register(ATTENTION, packed_attention)
