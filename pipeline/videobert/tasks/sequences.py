"""Examples as packed sequences: `[CLS] text [>] video [SEP]`, cut so that both have room.

T tokens, B examples, N clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from videobert.model.batch import Tokens, pack_sequences
from videobert.model.network import VideoBert
from videobert.pretrain.data import layout_footage, residual_rows
from videobert.tasks.base import Example
from videobert.tokens.footage import Footage

__all__ = ["encode", "padded_states", "thinned"]

_SPECIALS = 3
"""[CLS], [>] and [SEP]."""


def encode(encoder: VideoBert, examples: Sequence[Example]) -> tuple[Tensor, Tokens, Tensor]:
    """(final states [T, D], the packed tokens, place of each example among the sequences [B])."""
    rows = [_sequence(encoder, example) for example in examples]
    tokens, place_B = pack_sequences(*zip(*rows, strict=True))
    tokens = tokens.to(encoder.device)
    return encoder(tokens), tokens, torch.from_numpy(place_B).to(encoder.device)


def padded_states(encoder: VideoBert, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """(final states [B, L, D], True where a place holds one [B, L]), in the order of the examples."""
    hidden_TD, tokens, place_B = encode(encoder, examples)
    edges = tokens.packing.edges.tolist()
    parts = [hidden_TD[edges[place] : edges[place + 1]] for place in place_B.tolist()]
    lengths_B = torch.tensor([len(part) for part in parts], device=hidden_TD.device)
    states_BLD = pad_sequence(parts, batch_first=True)
    return states_BLD, torch.arange(states_BLD.shape[1], device=hidden_TD.device) < lengths_B[:, None]


def thinned(footage: Footage, room: int) -> Footage:
    """At most `room` clips: evenly spread over the span, which a long video is too long for otherwise."""
    if len(footage) <= room:
        return footage
    own = footage.cut(footage.first, footage.last)
    if len(own) <= room:
        return replace(own, lead=0)
    kept_N = np.linspace(0, len(own) - 1, room).round().astype(np.int64)
    residuals = None if own.residuals is None else own.residuals[kept_N]
    return Footage(leaves=own.leaves[kept_N], first=0, last=room, residuals=residuals)


def _sequence(
    encoder: VideoBert, example: Example
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None, NDArray[np.floating] | None]:
    """Ids, types, positions and residuals. Text takes half of the sequence at most where there is video too."""
    room = encoder.max_length - _SPECIALS - encoder.reading.context_clips
    text = example.text_ids[: room if example.footage is None else room // 2]
    text_N = np.array(text, dtype=np.int64) if text or example.footage is None else None
    footage = None if example.footage is None else thinned(example.footage, room - len(text))
    ids_L, types_L, positions_L, clips = layout_footage(text_N, footage, vocabulary=encoder.vocabulary)
    return ids_L, types_L, positions_L, residual_rows(footage, len(ids_L), clips)
