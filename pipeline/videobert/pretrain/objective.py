"""The losses of the three regimes and of retrieval: sums and counts, so that any split of a batch adds up."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from videobert.model.batch import Batch
from videobert.model.network import VideoBert, at_least_float32
from videobert.pretrain.config import LossWeights
from videobert.pretrain.data import Part
from videobert.pretrain.distributed import gather_rows

__all__ = ["PARTS", "contrast", "counts", "loss_sums", "loss_weights"]

PARTS = ("text_only", "video_only", "joint_text", "joint_video", "alignment", "retrieval")
"""Names and order of the losses everywhere; the first four are `data.Part`."""


def loss_weights(weights: LossWeights, device: torch.device) -> Tensor:
    """The weights in the order of PARTS, [6]."""
    return torch.tensor([getattr(weights, name) for name in PARTS], device=device)


def counts(batch: Batch) -> Tensor:
    """What each loss is divided by, [6] float64: masked tokens by part, pairs, segments that retrieval learns from."""
    masked = torch.bincount(batch.parts_M, minlength=len(Part))
    others = torch.tensor([len(batch.pairs_P), len(batch.texts_R) + len(batch.contrast.videos_C)], device=masked.device)
    return torch.cat([masked, others]).double()


def loss_sums(model: VideoBert, batch: Batch, *, weights: LossWeights, hidden_TD: Tensor | None = None) -> Tensor:
    """Sum of every loss over the batch, unweighted, [6] in the order of PARTS; `hidden_TD` where it is known."""
    if hidden_TD is None:
        hidden_TD = model(batch.tokens)
    zero = at_least_float32(hidden_TD.new_zeros(()))
    cloze = zero.expand(len(Part))
    if len(batch.masked_M):
        logits_MV = model.cloze_logits(hidden_TD[batch.masked_M])
        losses_M = F.cross_entropy(at_least_float32(logits_MV), batch.targets_M, reduction="none")
        cloze = zero.new_zeros(len(Part)).index_add(0, batch.parts_M, losses_M)
    alignment = zero
    if len(batch.pairs_P):
        logits_P = model.alignment_logits(hidden_TD[batch.tokens.packing.first_B[batch.pairs_P]])
        alignment = F.binary_cross_entropy_with_logits(
            at_least_float32(logits_P), batch.aligned_P.to(zero.dtype), reduction="sum"
        )
    retrieval = zero
    if weights.retrieval:
        retrieval = (contrast if model.reading.span_pooling else info_nce)(model, batch, hidden_TD)
    return torch.cat([cloze, torch.stack([alignment, retrieval])])


def contrast(model: VideoBert, batch: Batch, hidden_TD: Tensor) -> Tensor:
    """Is this sentence said over this span? Binary cross-entropy of all pairs, summed over the local spans.

    Every distinct sentence of all workers is asked about every span, so a span may have several sentences or none, and
    equal sentences are one question. The answer may lie between, for a clip off the middle of a sentence. The loss
    of Zhai et al. (2023, SigLIP); a softmax over spans would ask for one answer.
    """
    asked = batch.contrast
    video_CD = model.video_vectors(hidden_TD, batch.tokens, asked.videos_C)
    text_SD, _ = gather_rows(model.text_vectors(hidden_TD, batch.tokens, asked.texts_S))
    numbers_S, _ = gather_rows(asked.numbers_S)
    if not len(text_SD) or not len(video_CD):
        return (text_SD.sum() + video_CD.sum()) * 0.0
    said_CS = (asked.near_CE.unsqueeze(-1) * (asked.said_CE.unsqueeze(-1) == numbers_S)).sum(dim=1)
    first_S = (numbers_S.unsqueeze(0) == numbers_S.unsqueeze(1)).int().argmax(dim=1)
    once_S = first_S == torch.arange(len(first_S), device=first_S.device)
    logits_CS = video_CD @ text_SD.T * model.temperature().reciprocal() + model.retrieval_bias
    losses_CS = F.binary_cross_entropy_with_logits(logits_CS, said_CS.to(logits_CS.dtype), reduction="none")
    return (losses_CS * once_S).sum()


def info_nce(model: VideoBert, batch: Batch, hidden_TD: Tensor) -> Tensor:
    """Symmetric InfoNCE, summed over the local segments; candidates come from all workers.

    Segments with the very same sentence are left out of each other's candidates: they are no negatives.
    """
    text_RD = model.text_vectors(hidden_TD, batch.tokens, batch.texts_R)
    video_RD = model.video_vectors(hidden_TD, batch.tokens, batch.videos_R)
    text_SD, begin = gather_rows(text_RD)
    video_SD, _ = gather_rows(video_RD)
    sentences_S, _ = gather_rows(batch.sentences_R)
    if len(text_RD) == 0:
        # Workers without segments still take part in the exchange, and in its backward pass.
        return (text_SD.sum() + video_SD.sum()) * 0.0
    target_R = torch.arange(begin, begin + len(text_RD), device=text_RD.device)
    twins_RS = batch.sentences_R.unsqueeze(1) == sentences_S.unsqueeze(0)
    twins_RS[torch.arange(len(target_R)), target_R] = False
    scale = model.temperature().reciprocal()
    total = at_least_float32(hidden_TD.new_zeros(()))
    for query_RD, key_SD in ((text_RD, video_SD), (video_RD, text_SD)):
        logits_RS = (query_RD @ key_SD.T * scale).masked_fill(twins_RS, float("-inf"))
        total = total + 0.5 * F.cross_entropy(logits_RS, target_R, reduction="sum")
    return total
