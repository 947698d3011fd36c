"""Words that look at clips, through a gate that is shut at first. B examples, S words, L clips, D hidden width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["CrossFusion"]


class CrossFusion(nn.Module):
    """Text and video are encoded apart; each word then attends to the clips.

    What comes in is scaled by tanh(gate), which begins at 0: the network begins as the one that reads text alone
    (Alayrac et al. 2022, arXiv 2204.14198).
    """

    def __init__(self, hidden: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.attention = nn.MultiheadAttention(hidden, heads, dropout=dropout, batch_first=True)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, text_BSD: Tensor, video_BLD: Tensor, real_BL: Tensor, has_video_B: Tensor) -> Tensor:
        """Text states [B, S, D] that have seen the video; unchanged where there is none."""
        seen_BSD, _ = self.attention(
            self.norm(text_BSD), video_BLD, video_BLD, key_padding_mask=~real_BL, need_weights=False
        )
        fused_BSD: Tensor = text_BSD + torch.tanh(self.gate) * seen_BSD * has_video_B[:, None, None]
        return fused_BSD
