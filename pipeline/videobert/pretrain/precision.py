"""In which number format the passes of training are computed."""

from __future__ import annotations

import torch

from videobert.pretrain.config import PretrainConfig

__all__ = ["autocast"]


def autocast(config: PretrainConfig, device: torch.device) -> torch.autocast:
    """bf16 where `precision` says so, or on CUDA where it leaves the choice."""
    half = config.precision == "bf16" or (config.precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half)
