"""Examples as packed sequences: `[CLS] text [>] video [SEP]`, cut so that both have room.

T tokens, B examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from videobert.errors import InputError
from videobert.model.batch import Tokens, pack_sequences
from videobert.model.network import VideoBert, at_least_float32, sequence_means
from videobert.tasks.base import Example
from videobert.tasks.layout import Row, fitted_to, laid_out_in, thinned
from videobert.tokens.footage import Footage

__all__ = [
    "encode",
    "fitted",
    "frozen_features",
    "laid_out",
    "means",
    "padded_states",
    "text_room",
    "thinned",
    "words_at_masks",
]

BOUND = 64
"""Examples a forward pass of the frozen encoder."""
_ONE_CLIP = Footage.plain(np.zeros(1, dtype=np.int32))


def encode(encoder: VideoBert, examples: Sequence[Example]) -> tuple[Tensor, Tokens, Tensor]:
    """(final states [T, D], the packed tokens, place of each example among the sequences [B])."""
    rows = [laid_out(encoder, example) for example in examples]
    tokens, place_B = pack_sequences(*zip(*rows, strict=True))
    tokens = tokens.to(encoder.device)
    return encoder(tokens), tokens, torch.from_numpy(place_B).to(encoder.device)


def means(encoder: VideoBert, examples: Sequence[Example]) -> Tensor:
    """Mean final state of each example, [B, D]."""
    hidden_TD, tokens, place_B = encode(encoder, examples)
    return sequence_means(hidden_TD, tokens)[place_B]


def padded_states(encoder: VideoBert, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """(final states [B, L, D], True where a place holds one [B, L]), in the order of the examples."""
    hidden_TD, tokens, place_B = encode(encoder, examples)
    edges = tokens.packing.edges.tolist()
    parts = [hidden_TD[edges[place] : edges[place + 1]] for place in place_B.tolist()]
    lengths_B = torch.tensor([len(part) for part in parts], device=hidden_TD.device)
    states_BLD = pad_sequence(parts, batch_first=True)
    return states_BLD, torch.arange(states_BLD.shape[1], device=hidden_TD.device) < lengths_B[:, None]


def words_at_masks(encoder: VideoBert, examples: Sequence[Example], prompt: Sequence[int]) -> Tensor:
    """What the model would say of each example at the masks of a prompt, [B, D]: the embeddings of all words, each as
    often as it is likely there, added up over the masks.

    The prompt comes before the example's own text, which is cut where both are too long. Raises InputError for a prompt
    that has no mask or does not fit.
    """
    masks = [place for place, token in enumerate(prompt) if token == encoder.vocabulary.mask]
    if not masks or len(prompt) > text_room(encoder):
        raise InputError(
            f"a prompt of {len(prompt)} word pieces has {len(masks)} [MASK]; give one with a [MASK] and at most "
            f"{text_room(encoder)} pieces"
        )
    asked = [replace(example, text_ids=(*prompt, *example.text_ids)) for example in examples]
    hidden_TD, tokens, place_B = encode(encoder, asked)
    first_B = tokens.packing.first_B[place_B] + 1  # after [CLS]
    words = encoder.vocabulary.first_visual
    embeddings_WD = at_least_float32(encoder.bert.embeddings.word_embeddings.weight[:words])
    said_BD = embeddings_WD.new_zeros(len(asked), embeddings_WD.shape[1])
    for mask in masks:
        logits_BW = at_least_float32(encoder.cloze_logits(hidden_TD[first_B + mask])[:, :words])
        said_BD = said_BD + logits_BW.softmax(dim=-1) @ embeddings_WD
    return said_BD


def frozen_features(
    encoder: VideoBert, examples: Sequence[Example], *, prompt: Sequence[int] = ()
) -> NDArray[np.float32]:
    """Means of the final states of an encoder, or with a prompt the words at its masks, [B, D]; of spans that are read
    by segment, the means of theirs."""
    if any(example.segments for example in examples):
        own = [example.segments or (example,) for example in examples]
        rows_RD = frozen_features(encoder, [segment for segments in own for segment in segments], prompt=prompt)
        return np.stack([part.mean(axis=0) for part in np.split(rows_RD, np.cumsum([len(s) for s in own])[:-1])])
    encoder.eval()
    found = []
    with torch.inference_mode():
        for begin in range(0, len(examples), BOUND):
            group = examples[begin : begin + BOUND]
            rows_BD = words_at_masks(encoder, group, prompt) if prompt else means(encoder, group)
            found.append(rows_BD.cpu().numpy())
    return np.concatenate(found)


def fitted(encoder: VideoBert, example: Example) -> tuple[tuple[int, ...], Footage | None]:
    """Words and clips of an example that there is room for."""
    return fitted_to(encoder.max_length, encoder.reading.context_clips, example.text_ids, example.footage)


def text_room(encoder: VideoBert) -> int:
    """Most word pieces that are read next to clips."""
    endless = range(encoder.max_length)
    return len(fitted(encoder, Example(video_id="", text_ids=tuple(endless), footage=_ONE_CLIP))[0])


def laid_out(encoder: VideoBert, example: Example) -> Row:
    """One example as a sequence."""
    around = encoder.reading.context_clips
    return laid_out_in(encoder.vocabulary, encoder.max_length, around, example.text_ids, example.footage)
