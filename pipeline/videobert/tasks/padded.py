"""Fine-tuned networks as plain padded ones: what is exported to ONNX, and what gradients are asked of.

B sequences, L longest, D hidden width, C classes, K components.
"""

from __future__ import annotations

import torch
from torch import Tensor

from videobert.errors import InputError
from videobert.model.network import VideoBert
from videobert.model.padded import PaddedNetwork
from videobert.tasks.classifier import VideoBertForVideoClassification

__all__ = ["PaddedClassifier", "PaddedJudge"]


class PaddedClassifier(PaddedNetwork):
    """Shares the weights. Raises InputError for a network that is more than an encoder and a head."""

    def __init__(self, network: VideoBertForVideoClassification) -> None:
        if not network.is_plain:
            raise InputError(
                "a model with finetune.fusion cross, spans segments or pool words is no encoder with a head alone; "
                "this takes fusion early, spans whole and pool mean or cls only"
            )
        super().__init__(network.encoder)
        self.rows = network.encoder.bert.embeddings.word_embeddings
        self.residual = network.encoder.residual if network.encoder.reading.components else None
        self.dense, self.classifier, self.pool = network.dense, network.classifier, network.pool

    def forward(
        self,
        ids_BL: Tensor,
        types_BL: Tensor,
        positions_BL: Tensor,
        keep_BL: Tensor,
        residuals_BLK: Tensor | None = None,
    ) -> Tensor:
        """Logits [B, C] of padded sequences; float32 keep is 0 at padding."""
        rows_BLD = self.rows(ids_BL)
        if self.residual is not None and residuals_BLK is not None:
            rows_BLD = rows_BLD + self.residual(residuals_BLK)
        return self.logits(rows_BLD, types_BL, positions_BL, keep_BL)

    def logits(
        self, rows_BLD: Tensor, types_BL: Tensor, positions_BL: Tensor, keep_BL: Tensor,
        shares: list[Tensor] | None = None,
    ) -> Tensor:  # fmt: skip
        """The same from the tokens' rows of the table; adds each layer's attention to `shares`."""
        hidden_BLD = self.hidden(self.embedded(rows_BLD, types_BL, positions_BL), keep_BL, shares)
        if self.pool == "cls":
            pooled_BD = hidden_BLD[:, 0]
        else:
            pooled_BD = (hidden_BLD * keep_BL.unsqueeze(-1)).sum(1) / keep_BL.sum(1, keepdim=True)
        logits_BC: Tensor = self.classifier(torch.tanh(self.dense(pooled_BD)))
        return logits_BC


class PaddedJudge(PaddedNetwork):
    """The alignment head, which judges each choice of a question. Shares the weights."""

    pool = "cls"

    def __init__(self, encoder: VideoBert) -> None:
        super().__init__(encoder)
        self.alignment = encoder.alignment

    def logits(
        self, rows_BLD: Tensor, types_BL: Tensor, positions_BL: Tensor, keep_BL: Tensor,
        shares: list[Tensor] | None = None,
    ) -> Tensor:  # fmt: skip
        """Log odds [B, 1] that text and video belong together; see `PaddedClassifier.logits`."""
        hidden_BLD = self.hidden(self.embedded(rows_BLD, types_BL, positions_BL), keep_BL, shares)
        logits_B1: Tensor = self.alignment(hidden_BLD[:, 0])
        return logits_B1
