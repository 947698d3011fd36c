"""What a fine-tuned model reads of a text and a span, as numbers: `[CLS] text [>] video [SEP]`, cut so that both fit.

Without torch, as exported models are run. L tokens, N clips, K components.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.data import layout_footage, residual_rows
from videobert.tokens.footage import Footage

__all__ = ["Row", "fitted_to", "laid_out_in", "thinned"]

Row = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None, NDArray[np.floating] | None]
"""Ids, types, positions (None: from 0 on) and residuals (None: there are none)."""

_SPECIALS = 3
"""[CLS], [>] and [SEP]."""


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


def fitted_to(
    max_length: int, around: int, text: tuple[int, ...], footage: Footage | None
) -> tuple[tuple[int, ...], Footage | None]:
    """What there is room for. Text takes half of the sequence at most where there is video too.

    `around` is how many clips on either side of a span the model reads.
    """
    room = max_length - _SPECIALS - around
    text = text[: room if footage is None else room // 2]
    return text, None if footage is None else thinned(footage, room - len(text))


def laid_out_in(
    vocabulary: Vocabulary, max_length: int, around: int, text: tuple[int, ...], footage: Footage | None
) -> Row:
    """One sequence."""
    text, kept = fitted_to(max_length, around, text, footage)
    text_N = np.array(text, dtype=np.int64) if text or kept is None else None
    ids_L, types_L, positions_L, clips = layout_footage(text_N, kept, vocabulary=vocabulary)
    return ids_L, types_L, positions_L, residual_rows(kept, len(ids_L), clips)
