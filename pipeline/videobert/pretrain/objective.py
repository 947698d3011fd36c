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

__all__ = ["PARTS", "counts", "loss_sums", "loss_weights"]

PARTS = ("text_only", "video_only", "joint_text", "joint_video", "alignment", "retrieval")
"""Names and order of the losses everywhere; the first four are `data.Part`."""


def loss_weights(weights: LossWeights, device: torch.device) -> Tensor:
    """The weights in the order of PARTS, [6]."""
    return torch.tensor([getattr(weights, name) for name in PARTS], device=device)


def counts(batch: Batch) -> Tensor:
    """What each loss is divided by, [6] float64: masked tokens by part, pairs, segments with text and video."""
    masked = torch.bincount(batch.parts_M, minlength=len(Part))
    others = torch.tensor([len(batch.pairs_P), len(batch.texts_R)], device=masked.device)
    return torch.cat([masked, others]).double()


def loss_sums(model: VideoBert, batch: Batch, *, weights: LossWeights) -> Tensor:
    """Sum of every loss over the batch, unweighted, [6] in the order of PARTS."""
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
    retrieval = info_nce(model, batch, hidden_TD) if weights.retrieval else zero
    return torch.cat([cloze, torch.stack([alignment, retrieval])])


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
