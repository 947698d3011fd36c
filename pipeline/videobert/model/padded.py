"""VideoBERT as a plain padded network: what can be exported to ONNX, and what shows its attention.

The model itself packs its sequences (`packing.py`). B sequences, L longest, D hidden width, H heads, R retrieval width.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from videobert.errors import InputError
from videobert.model.network import VideoBert

__all__ = ["PaddedNetwork", "unit_mean_of"]

_NEVER = -1e9
"""Added to the attention to padding."""


class PaddedNetwork(nn.Module):
    """Shares the weights of a model. Raises InputError for an activation that BERT does not have."""

    def __init__(self, model: VideoBert) -> None:
        super().__init__()
        config = model.config
        if config.hidden_act != "gelu":
            raise InputError(f"the model's activation is {config.hidden_act}; only gelu is known here")
        self.embeddings: Any = model.bert.embeddings
        self.layers: Any = model.bert.encoder.layer
        self.heads = int(config.num_attention_heads)

    def embedded(self, rows_BLD: Tensor, types_BL: Tensor, positions_BL: Tensor) -> Tensor:
        """What enters the first layer, from the tokens' rows of the table, [B, L, D]."""
        types, positions = self.embeddings.token_type_embeddings, self.embeddings.position_embeddings
        found: Tensor = self.embeddings.LayerNorm(rows_BLD + types(types_BL) + positions(positions_BL))
        return found

    def hidden(self, x_BLD: Tensor, keep_BL: Tensor, shares: list[Tensor] | None = None) -> Tensor:
        """Final states [B, L, D]; `keep_BL` is 0 at padding. Adds each layer's attention [B, H, L, L] to `shares`."""
        bias_B11L = ((1 - keep_BL) * _NEVER)[:, None, None, :]
        for layer in self.layers:
            own = layer.attention.self
            q, k, v = (self._split(linear(x_BLD)) for linear in (own.query, own.key, own.value))
            share_BHLL = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias_B11L).softmax(-1)
            if shares is not None:
                shares.append(share_BHLL)
            seen_BLD = (share_BHLL @ v).transpose(1, 2).flatten(2)
            x_BLD = layer.attention.output.LayerNorm(layer.attention.output.dense(seen_BLD) + x_BLD)
            x_BLD = layer.output.LayerNorm(layer.output.dense(F.gelu(layer.intermediate.dense(x_BLD))) + x_BLD)
        return x_BLD

    def _split(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.view(*x_BLD.shape[:2], self.heads, -1).transpose(1, 2)


def unit_mean_of(head: nn.Linear, hidden_BLD: Tensor, pool_BL: Tensor) -> Tensor:
    """Unit vectors [B, R] of the mean of the states that `pool_BL` weighs."""
    vector_BR: Tensor = head((hidden_BLD * pool_BL.unsqueeze(-1)).sum(1) / pool_BL.sum(1, keepdim=True))
    return vector_BR / (vector_BR * vector_BR).sum(-1, keepdim=True).sqrt().clamp(min=1e-12)
