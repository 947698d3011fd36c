"""What workers exchange: sums, gradients, and the rows of a contrastive batch. Without a process group, nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["each_alone", "from_first_worker", "gather_rows", "sum_gradients", "sum_over_workers"]


_alone = ContextVar("_alone", default=False)


@contextmanager
def each_alone() -> Iterator[None]:
    """Within, nothing is exchanged: every worker computes the same whole by itself."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def active() -> bool:
    """Whether there is anyone to talk to."""
    return not _alone.get() and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_workers(values: Tensor) -> Tensor:
    """The sum of a tensor over all workers."""
    if not active():
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace every gradient by its sum over the workers, in one message; each worker has the same gradients."""
    if not active():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, summed in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def from_first_worker(values: dict[str, float], device: torch.device) -> dict[str, float]:
    """The first worker's values on every worker; all have the same names."""
    if not active():
        return values
    sent = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.broadcast(sent, src=0)
    return dict(zip(values, sent.tolist(), strict=True))


def gather_rows(rows: Tensor) -> tuple[Tensor, int]:
    """Rows [R, ...] of all workers one after the other, and where this worker's begin; R may differ.

    Gradients flow back to the worker a row came from.
    """
    if not active():
        return rows, 0
    sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
    lengths = [int(size) for size in sizes]
    gathered: Tensor = _Gather.apply(rows, lengths)  # type: ignore[no-untyped-call]
    return gathered, sum(lengths[: dist.get_rank()])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, lengths: list[int]) -> Tensor:  # torch's own signature
        ctx.lengths = lengths
        padded = rows.new_zeros(max(lengths), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, lengths, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        rank = dist.get_rank()
        begin = sum(ctx.lengths[:rank])
        return total[begin : begin + ctx.lengths[rank]], None
