"""How torch encoders run: autocast, fixed batches, and one thread on CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["autocast", "in_batches", "single_thread"]

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, mode: str) -> AbstractContextManager[object]:
    """Reduced precision on a GPU when asked for; float32 otherwise."""
    if mode == "off" or device.type != "cuda":
        return nullcontext()
    return torch.autocast("cuda", _AUTOCAST[mode])


@contextmanager
def single_thread(device: torch.device) -> Iterator[None]:
    """One intra-op thread on CPU: how a sum is split among threads changes its last bits."""
    former = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(former)


def in_batches(
    clips: Sequence[tuple[NDArray[Any], ...]],
    forward: Callable[..., Tensor],
    *,
    size: int,
    device: torch.device,
) -> NDArray[np.float32]:
    """Run `forward` on batches of one fixed shape, the last one padded with zeros; [N, D] comes back.

    Each clip is a tuple of arrays; `forward` takes one tensor [B, ...] for each place of the tuple and gives [B, D].
    """
    rows = []
    for first in range(0, len(clips), size):
        some = clips[first : first + size]
        tensors = []
        for values in zip(*some, strict=True):
            batch = np.zeros((size, *values[0].shape), values[0].dtype)
            batch[: len(some)] = values
            tensors.append(torch.from_numpy(batch).to(device, non_blocking=True))
        rows.append(forward(*tensors)[: len(some)].float().cpu().numpy())
    return np.concatenate(rows)
