"""One sequence that a model reads, as the rows that enter it, with and without what is said and shown.

L tokens, D hidden width, S steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.model.network import VideoBert
from videobert.model.padded import PaddedNetwork
from videobert.tasks.base import Example
from videobert.tasks.sequences import fitted, laid_out

__all__ = ["ReadSequence", "clips_read"]


class ReadSequence:
    """Words, clips or both, cut to what there is room for."""

    def __init__(self, encoder: VideoBert, example: Example) -> None:
        ids_L, types_L, positions_L, residuals_LK = laid_out(encoder, example)
        text, _ = fitted(encoder, example)
        self.clips = clips_read(encoder, example)
        """Numbers of the example's clips that are read."""
        self.word_places = 1 + np.arange(len(text))
        self.clip_places = len(ids_L) - 1 - len(self.clips) + np.arange(len(self.clips))
        masked_L = ids_L.copy()
        masked_L[self.clip_places] = masked_L[self.word_places] = encoder.vocabulary.mask
        self.types = torch.from_numpy(types_L)
        self.positions = torch.arange(len(ids_L)) if positions_L is None else torch.from_numpy(positions_L)
        table = encoder.bert.embeddings.word_embeddings
        self.rows, self.masked = (table(torch.from_numpy(x)).detach() for x in (ids_L, masked_L))
        """[L, D]; `masked` with [MASK] for every word and clip."""
        if residuals_LK is not None and encoder.reading.components:
            self.rows = self.rows + encoder.residual(torch.from_numpy(residuals_LK).float()).detach()

    def __len__(self) -> int:
        return len(self.rows)

    def pool_of(self, pool: str) -> NDArray[np.float64]:
        """Weights [L] of the states that a head reads: `mean` or `cls`."""
        return np.ones(len(self)) if pool == "mean" else (np.arange(len(self)) == 0).astype(np.float64)

    def states(self, network: PaddedNetwork, rows_SLD: Tensor, shares: list[Tensor] | None = None) -> Tensor:
        """Final states [S, L, D] of an encoder; adds each layer's attention to `shares`."""
        keep_SL = torch.ones(rows_SLD.shape[:2])
        return network.hidden(network.embedded(rows_SLD, self.types, self.positions), keep_SL, shares)

    def without(self, words: Sequence[int], clips: Sequence[int]) -> Tensor:
        """The rows [L, D] with some words and clips masked, by number; those that it does not hold are let be."""
        places = [*self.word_places[list(words)]] if len(self.word_places) else []
        places += [*self.clip_places[list(clips)]] if len(self.clip_places) else []
        rows_LD: Tensor = self.rows.clone()
        rows_LD[places] = self.masked[places]
        return rows_LD


def clips_read(encoder: VideoBert, example: Example) -> NDArray[np.int64]:
    """Numbers of the clips of the example's footage that there is room for."""
    if example.footage is None:
        return np.empty(0, np.int64)
    numbered = replace(example.footage, leaves=np.arange(len(example.footage)))
    _, kept = fitted(encoder, replace(example, footage=numbered))
    assert kept is not None
    return kept.leaves.astype(np.int64)
