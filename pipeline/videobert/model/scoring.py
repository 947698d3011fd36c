"""What a trained model says: zero-shot verbs and nouns, vectors of texts and videos, alignment, missing video.

Every call runs in evaluation mode, in fixed groups of sequences, in the given order of results. A result does not
depend on its neighbours beyond the rounding of float32 (about 1e-5).

B sequences, D hidden width, R retrieval width, V ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.errors import InputError
from videobert.model.batch import Tokens, pack_sequences
from videobert.model.network import VideoBert, visual_means
from videobert.pretrain.data import layout_footage, residual_rows
from videobert.tokens.footage import Footage

__all__ = [
    "Leaves", "VisualGuess", "ZeroShot", "alignment_logits", "encode_text", "encode_video", "mask_scores", "pooled",
    "predict_visual", "surprise", "zero_shot",
]  # fmt: skip

GROUP = 64
"""Sequences a forward pass."""

Leaves = NDArray[np.integer] | Footage
"""A span of video: codebook leaves, shape [N], or these with the clips around them and what they dropped."""

Ids = Sequence[int]
"""WordPiece ids without special tokens, [MASK] allowed."""


_Row = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None, NDArray[np.floating] | None]
"""Ids, types, positions and residuals of a sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShot:
    """Log probabilities over the whole vocabulary, of the candidates only; float32."""

    verbs: NDArray[np.float32]
    """[B, verbs] at the first [MASK]."""
    nouns: NDArray[np.float32]
    """[B, nouns] at the second [MASK]."""


def zero_shot(
    model: VideoBert, prompt: Ids, videos: Sequence[Leaves | None], *, verb_ids: Ids, noun_ids: Ids
) -> ZeroShot:
    """Scores of verbs and nouns at the two masks of a prompt, before each video (section 4.3 of the paper).

    None in place of a video gives the language prior. Raises InputError unless the prompt has two [MASK].
    """
    verbs, nouns = mask_scores(model, prompt, videos, candidates=(verb_ids, noun_ids))
    return ZeroShot(verbs=verbs, nouns=nouns)


def mask_scores(
    model: VideoBert, prompt: Ids, videos: Sequence[Leaves | None], *, candidates: Sequence[Ids]
) -> list[NDArray[np.float32]]:
    """Log probabilities of each mask's candidates, [B, candidates] a mask; raises InputError for another number."""
    masks = [i + 1 for i, token in enumerate(prompt) if token == model.vocabulary.mask]
    if len(masks) != len(candidates):
        raise InputError(
            f"the prompt has {len(masks)} [MASK], but {len(candidates)} are asked for: check its tokenisation"
        )
    scores: list[list[NDArray[np.float32]]] = [[] for _ in masks]
    for tokens, place_B, hidden_TD in _forward(model, [prompt] * len(videos), videos):
        first_B = tokens.packing.first_B[place_B]
        for mask, ids, found in zip(masks, candidates, scores, strict=True):
            logits_BV = model.cloze_logits(hidden_TD[first_B + mask]).float()
            found.append(_numpy(logits_BV.log_softmax(-1)[:, list(ids)]))
    return [_stack(found, len(ids)) for found, ids in zip(scores, candidates, strict=True)]


def encode_text(model: VideoBert, texts: Sequence[Ids]) -> NDArray[np.float32]:
    """Unit vectors of sentences in the retrieval space, [B, R]."""
    found = [
        _numpy(model.text_vectors(hidden_TD, tokens, place_B))
        for tokens, place_B, hidden_TD in _forward(model, texts, [None] * len(texts))
    ]
    return _stack(found, model.retrieval_text.out_features)


def encode_video(model: VideoBert, videos: Sequence[Leaves]) -> NDArray[np.float32]:
    """Unit vectors of spans of video in the retrieval space, [B, R]; comparable with `encode_text`."""
    found = [
        _numpy(model.video_vectors(hidden_TD, tokens, place_B))
        for tokens, place_B, hidden_TD in _forward(model, [None] * len(videos), videos)
    ]
    return _stack(found, model.retrieval_video.out_features)


def alignment_logits(model: VideoBert, texts: Sequence[Ids], videos: Sequence[Leaves]) -> NDArray[np.float32]:
    """Log odds that text i belongs to video i, [B]."""
    found = [
        _numpy(model.alignment_logits(hidden_TD[tokens.packing.first_B[place_B]]).float())
        for tokens, place_B, hidden_TD in _forward(model, texts, videos)
    ]
    return np.concatenate(found) if found else np.empty(0, np.float32)


def pooled(
    model: VideoBert, videos: Sequence[Leaves], *, pool: Literal["paper", "cls", "mean"], prompt: Ids = ()
) -> NDArray[np.float32]:
    """Feature vectors of spans of video for downstream models.

    `paper`: after `prompt` (with its [MASK]), the mean of the visual states next to the mean of the masked states,
    [B, 2 x D] (section 4.6). `cls`: the state of [CLS], `mean`: the mean of the visual states, both [B, D] without a
    prompt. Raises InputError when `paper` has no [MASK] to read.
    """
    masks = [i + 1 for i, token in enumerate(prompt) if token == model.vocabulary.mask]
    if pool == "paper" and not masks:
        raise InputError("pooling as in the paper reads the masked words, but the prompt has none: add [MASK]")
    texts: Sequence[Ids | None] = [prompt if pool == "paper" else None] * len(videos)
    found = []
    for tokens, place_B, hidden_TD in _forward(model, texts, videos):
        first_B = tokens.packing.first_B[place_B]
        if pool == "cls":
            found.append(_numpy(hidden_TD[first_B].float()))
            continue
        visual_BD = visual_means(hidden_TD, tokens, first_visual=model.vocabulary.first_visual)[place_B]
        if pool == "mean":
            found.append(_numpy(visual_BD))
            continue
        masked_BD = torch.stack([hidden_TD[first_B + mask] for mask in masks]).float().mean(0)
        found.append(_numpy(torch.cat([visual_BD, masked_BD], dim=-1)))
    return _stack(found, model.config.hidden_size * (2 if pool == "paper" else 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class VisualGuess:
    """The likeliest visual tokens of P missing places, best first."""

    leaves: NDArray[np.int32]
    """[B, P, k]."""
    probabilities: NDArray[np.float32]
    """Their shares of the whole vocabulary, [B, P, k]."""


def predict_visual(
    model: VideoBert, texts: Sequence[Ids | None], videos: Sequence[Leaves], *, places: int, k: int
) -> VisualGuess:
    """The k likeliest visual tokens at `places` masks after each video.

    After a span of video this is the paper's forecast; after an empty one with a text, its text-to-video
    (section 4.4: for each position the best visual token given the text). A video that leaves no room is cut at its
    beginning. Raises InputError when not even the text and the masks fit, or for a k outside the codebook.
    """
    vocabulary = model.vocabulary
    if not 1 <= k <= vocabulary.leaves or places < 1:
        raise InputError(f"{k} guesses at {places} places: ask for 1..{vocabulary.leaves} at 1 place or more")
    leaves, chances = [], []
    for tokens, place_B, hidden_TD in _forward(model, texts, videos, masks=places):
        # The masks are the last tokens before [SEP].
        end_B = tokens.packing.edges[1:].long()[place_B] - 1
        at_BP = end_B.unsqueeze(1) + torch.arange(-places, 0, device=end_B.device)
        shares_BPV = model.cloze_logits(hidden_TD[at_BP]).float().softmax(-1)
        best = shares_BPV[..., vocabulary.first_visual :].topk(k)
        leaves.append(best.indices.to(torch.int32).cpu().numpy())
        chances.append(_numpy(best.values))
    empty = np.empty((0, places, k))
    return VisualGuess(
        leaves=np.concatenate([empty.astype(np.int32), *leaves]),
        probabilities=np.concatenate([empty.astype(np.float32), *chances]),
    )


def surprise(
    model: VideoBert, videos: Sequence[Leaves], clips: Sequence[int], *, around: int = 1
) -> NDArray[np.float32]:
    """-log P(visual token of a clip | the rest of its video) in nats, among the visual tokens, [B].

    `clips` counts from the first clip of each video, context included. It is masked with `around` clips on either side:
    a clip is mostly like the next, which says nothing of what happens. Raises InputError for a video that is too long.
    """
    vocabulary = model.vocabulary
    pairs = zip(videos, clips, strict=True)
    wanted = np.array([_leaves(video)[clip] for video, clip in zip(videos, clips, strict=True)], np.int64)
    found, begin = [], 0
    for tokens, place_B, hidden_TD in _run(model, (_with_hole(model, video, clip, around) for video, clip in pairs)):
        end = begin + len(place_B)
        # Before the clips stand [CLS] and [>].
        at_B = tokens.packing.first_B[place_B] + 2 + torch.tensor(clips[begin:end], device=place_B.device)
        logits_BN = model.cloze_logits(hidden_TD[at_B]).float()[:, vocabulary.first_visual :]
        own_B1 = torch.from_numpy(wanted[begin:end, None]).to(logits_BN.device)
        found.append(_numpy(-logits_BN.log_softmax(-1).gather(1, own_B1).squeeze(1)))
        begin = end
    return np.concatenate([np.empty(0, np.float32), *found])


def _leaves(video: Leaves) -> NDArray[np.integer]:
    return video.leaves if isinstance(video, Footage) else np.asarray(video)


def _with_hole(model: VideoBert, video: Leaves, clip: int, around: int) -> _Row:
    ids_L, types_L, positions_L, residuals_LK = _sequence(model, None, video, masks=0)
    count = len(_leaves(video))
    if len(ids_L) != count + 3:
        raise InputError(f"{count} clips exceed the model's {model.max_length} tokens: take fewer")
    hole = slice(2 + max(0, clip - around), 2 + min(count, clip + around + 1))
    ids_L[hole] = model.vocabulary.mask
    if residuals_LK is not None:
        residuals_LK[hole] = 0.0  # a residual would tell the token
    return ids_L, types_L, positions_L, residuals_LK


def _forward(
    model: VideoBert, texts: Sequence[Ids | None], videos: Sequence[Leaves | None], *, masks: int = 0
) -> Iterator[tuple[Tokens, Tensor, Tensor]]:
    """Groups of sequences as (packed tokens, place of each sequence, hidden states [T, D]); `masks` follow a video."""
    if len(texts) != len(videos):
        raise InputError(f"{len(texts)} texts do not pair with {len(videos)} videos: give one each")
    pairs = zip(texts, videos, strict=True)
    return _run(model, (_sequence(model, text, video, masks=masks) for text, video in pairs))


def _run(model: VideoBert, rows: Iterator[_Row]) -> Iterator[tuple[Tokens, Tensor, Tensor]]:
    """The same of sequences that are laid out."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            while some := list(islice(rows, GROUP)):
                tokens, place_B = pack_sequences(*zip(*some, strict=True))
                tokens = tokens.to(model.device)
                yield tokens, torch.from_numpy(place_B).to(model.device), model(tokens)
    finally:
        model.train(training)


def _sequence(model: VideoBert, text: Ids | None, video: Leaves | None, *, masks: int) -> _Row:
    """Ids, types, positions and residuals of one sequence."""
    vocabulary = model.vocabulary
    text_N = None if text is None else np.asarray(text, dtype=np.int64)
    footage = None
    if video is not None:
        footage = video if isinstance(video, Footage) else Footage.plain(np.asarray(video))
        room = max(
            0, model.max_length - 3 - masks - model.reading.context_clips - (0 if text_N is None else len(text_N))
        )
        # What comes next follows from the last that was seen; else the beginning of a long video is taken.
        footage = footage.ending(room) if masks else footage.fitted(room)
    ids_L, types_L, positions_L, clips = layout_footage(text_N, footage, vocabulary=vocabulary)
    residuals_LK = residual_rows(footage, len(ids_L), clips)
    if masks:
        end = clips.stop
        ids_L = np.insert(ids_L, [end] * masks, vocabulary.mask)
        types_L = np.insert(types_L, [end] * masks, 1)
        positions_L = None if positions_L is None else np.append(positions_L, positions_L[-1] + 1 + np.arange(masks))
        if residuals_LK is not None:
            residuals_LK = np.insert(residuals_LK, [end] * masks, 0.0, axis=0)
    if len(ids_L) > model.max_length:
        raise InputError(f"a text of {len(ids_L)} tokens exceeds the model's {model.max_length}: shorten it")
    return ids_L, types_L, positions_L, residuals_LK


def _numpy(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.cpu().numpy()
    return array


def _stack(parts: list[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    return np.concatenate(parts) if parts else np.empty((0, width), np.float32)
