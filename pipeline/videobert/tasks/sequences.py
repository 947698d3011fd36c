"""Examples as packed sequences: `[CLS] text [>] video [SEP]`, cut so that both have room.

T tokens, B examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from videobert.model.batch import Tokens, pack_sequences
from videobert.model.network import VideoBert, sequence_means
from videobert.tasks.base import Example
from videobert.tasks.layout import Row, fitted_to, laid_out_in, thinned
from videobert.tokens.footage import Footage

__all__ = ["encode", "fitted", "frozen_features", "laid_out", "padded_states", "thinned"]

BOUND = 64
"""Examples a forward pass of the frozen encoder."""


def encode(encoder: VideoBert, examples: Sequence[Example]) -> tuple[Tensor, Tokens, Tensor]:
    """(final states [T, D], the packed tokens, place of each example among the sequences [B])."""
    rows = [laid_out(encoder, example) for example in examples]
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


def frozen_features(encoder: VideoBert, examples: Sequence[Example]) -> NDArray[np.float32]:
    """Means of the final states of an encoder, [B, D]; of spans that are read by segment, the means of theirs."""
    if any(example.segments for example in examples):
        own = [example.segments or (example,) for example in examples]
        rows_RD = frozen_features(encoder, [segment for segments in own for segment in segments])
        return np.stack([part.mean(axis=0) for part in np.split(rows_RD, np.cumsum([len(s) for s in own])[:-1])])
    encoder.eval()
    found = []
    with torch.inference_mode():
        for begin in range(0, len(examples), BOUND):
            hidden_TD, tokens, place_B = encode(encoder, examples[begin : begin + BOUND])
            found.append(sequence_means(hidden_TD, tokens)[place_B].cpu().numpy())
    return np.concatenate(found)


def fitted(encoder: VideoBert, example: Example) -> tuple[tuple[int, ...], Footage | None]:
    """Words and clips of an example that there is room for."""
    return fitted_to(encoder.max_length, encoder.reading.context_clips, example.text_ids, example.footage)


def laid_out(encoder: VideoBert, example: Example) -> Row:
    """One example as a sequence."""
    around = encoder.reading.context_clips
    return laid_out_in(encoder.vocabulary, encoder.max_length, around, example.text_ids, example.footage)
