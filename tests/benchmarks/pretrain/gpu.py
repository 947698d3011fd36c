"""What only a GPU shows: MFU against a measured peak, memory, fp32 versus bf16."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from tests.benchmarks.pretrain.setting import Setting
from videobert.model.network import VideoBert
from videobert.pretrain.train import train

__all__ = ["model_flops", "peak_flops", "report_gpu", "wait"]

STEPS = 40
BATCHES = (128, 512, 2048)
"""Sequences a step; a larger batch hides the optimiser and the launching of kernels."""


def model_flops(model: VideoBert, *, tokens: int, masked: int) -> float:
    """6 x parameters x tokens of a step: the encoder's matrices for every token, the cloze head's for masked ones.

    Attention's own products, at most a few per cent at these lengths, and look-ups in the table are not counted.
    """
    encoder = sum(p.numel() for p in model.bert.encoder.parameters() if p.ndim == 2)
    head = sum(p.numel() for p in model.predictions.parameters() if p.ndim == 2)
    return 6.0 * (encoder * tokens + head * masked)


def peak_flops(device: str, *, size: int = 8192, repeats: int = 20) -> float:
    """FLOP/s of a large bf16 matrix product, on random data."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        left @ right
    wait(device)
    since = time.perf_counter()
    for _ in range(repeats):
        left @ right
    wait(device)
    return 2.0 * size**3 * repeats / (time.perf_counter() - since)


def report_gpu(
    setting: Setting, *, batches: Sequence[int] = BATCHES, steps: int = STEPS, peak_size: int = 8192
) -> None:
    """Print one row for every batch and precision, each measured over the second half of `steps` steps."""
    peak = peak_flops(setting.device, size=peak_size)
    print(f"\nours alone, {steps} steps; bf16 product of {peak_size} x {peak_size}: {peak / 1e12:.3g} TFLOP/s")
    print("precision  sequences  tokens/step   tokens/s    MFU  data wait  peak GiB  masked-LM loss, held out")
    for batch in batches:
        for precision in ("bf16", "fp32"):
            _row(replace(setting, batch=batch, steps=steps, precision=precision), peak)


def _row(setting: Setting, peak: float) -> None:
    config = replace(setting.config, log_every_steps=setting.steps // 2)
    model = setting.model()
    if setting.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    record = train(model, setting.videos, config).curve[1]
    memory = torch.cuda.max_memory_allocated() / 2**30 if setting.device == "cuda" else 0.0
    measured = [setting.data.examples(step) for step in range(setting.steps // 2, setting.steps // 2 * 2)]
    tokens = sum(len(example.ids_L) for step in measured for example in step) // len(measured)
    masked = sum(len(example.masked_M) for step in measured for example in step) // len(measured)
    used = model_flops(model, tokens=tokens, masked=masked) * record["tokens_per_second"] / tokens
    loss = float(setting.masked_losses(model).mean())
    print(f"{setting.precision:9s} {setting.batch:10d} {tokens:12,d} {record['tokens_per_second']:10,.0f} "
          f"{used / peak:6.3f} {record['data_wait']:10.4f} {memory:9.1f} {loss:25.4f}", flush=True)  # fmt: skip


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
