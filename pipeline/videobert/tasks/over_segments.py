"""Segments that were read one by one, as one span. B spans, S segments of the longest, R of all, D hidden width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from videobert.tasks.base import Example

__all__ = ["MOST_SEGMENTS", "OverSegments", "kept"]

MOST_SEGMENTS = 512
"""Segments of a span that are read; more are thinned out evenly, so that memory is bounded."""


def kept(segments: Sequence[Example]) -> Sequence[Example]:
    """The segments that are read."""
    if len(segments) <= MOST_SEGMENTS:
        return segments
    return [segments[i] for i in np.linspace(0, len(segments) - 1, MOST_SEGMENTS).round().astype(int)]


class OverSegments(nn.Module):
    """A Transformer over the vectors of a span's segments, with learned places; the mean of what it makes of them, and
    how many they are.

    The encoder reads each segment as it did in pretraining, which has seen nothing longer. Yang et al. 2016,
    "Hierarchical Attention Networks", have the same two levels for documents.
    """

    def __init__(self, hidden: int, heads: int, *, layers: int, dropout: float) -> None:
        super().__init__()
        self.depth = layers
        layer = nn.TransformerEncoderLayer(
            hidden, heads, 2 * hidden, dropout=dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.place_embeddings = nn.Embedding(MOST_SEGMENTS, hidden)
        nn.init.normal_(self.place_embeddings.weight, std=0.02)
        self.size = nn.Linear(1, hidden)

    def forward(self, segments_RD: Tensor, counts: Sequence[int]) -> Tensor:
        """Vectors of spans that have so many segments each, one span after the other, to [B, D]."""
        rows_BSD = pad_sequence(list(torch.split(segments_RD, list(counts))), batch_first=True)
        counts_B1 = torch.tensor(counts, device=rows_BSD.device, dtype=rows_BSD.dtype)[:, None]
        places_S = torch.arange(rows_BSD.shape[1], device=rows_BSD.device)
        real_BS = places_S < counts_B1
        rows_BSD = rows_BSD + self.place_embeddings(places_S)
        seen_BSD: Tensor = self.layers(rows_BSD, src_key_padding_mask=~real_BS)
        mean_BD = (seen_BSD * real_BS[..., None]).sum(dim=1) / counts_B1
        sized_BD: Tensor = mean_BD + self.size(counts_B1.log())
        return sized_BD
