"""Our training loop against Hugging Face's Trainer on the same sequences: `python -m tests.benchmarks.pretrain`.

    python -m tests.benchmarks.pretrain [--device cpu|cuda] [--size small|base|large] [--seconds 240]
        [--precision fp32|bf16] [--batch 32] [--threads 1]

Both start from the same weights, see the same sequences with the same masks in the same batches, use AdamW with the
same linear decay, BERT's dropout, and take turns step by step; a ratio is the median of the ratios of single steps.
The yardstick pads to the maximal length, as BERT's own data do, and in a second run to the longest of the batch. Loss:
mean over the masked tokens of 512 held-out sequences, without dropout, after the same training sequences.
Seconds to the first step: from videos in memory to the end of the first optimiser step, models built on the way.
Trainer needs accelerate. On CUDA a second table (gpu.py) gives MFU and memory; that part has run on CPU only.

Where the ratio comes from: dense layers see real tokens only, and the table of 51 k ids is multiplied at masked places
only. What is left of our step is matrix products for three fifths; the table's own gradient, norm and update cost about
0.1 s whatever the batch, so small batches gain less (8 sequences: 3.9 times the Trainer that pads to the longest).
Profiled: products 61 %, zeros for dense gradients 7 %, adding the table's two gradients 4 %, dropout masks 3 %, softmax
of the vocabulary 2 %, AdamW 2 %, norm and clipping 1 %. Every row has a gradient from the softmax: none can be skipped.
The loss: without dropout and decay, with one mean over all masked tokens on both sides and without the heads that judge
alignment, the encoders' weights after 40 steps of 8 sequences differ by 2.4e-6 and the losses in no digit shown: the
loops are the same. What remains is in the objectives: our means by regime, weighted by their share, cost 0.015 of loss
there, our alignment head gains 0.013 (the Trainer's stands behind a pooler of its own, not measured alone), decay does
nothing, another draw of dropout moves ours by 0.007.
What helped further: bf16 on a CPU that has it, 1.5 times as fast (`--pretrain.precision bf16`; not the default, or a
model would depend on the CPU); gradients dropped, not zeroed (2 %). What did not: a sparse gradient of the table's
look-up (4 %, and other roundings). glibc that keeps large blocks (MALLOC_MMAP_MAX_=0
MALLOC_TRIM_THRESHOLD_=9000000000) saves a tenth of the CPU time in page faults: for whoever starts the process.
"""

from __future__ import annotations

import argparse
import platform
import statistics
from dataclasses import dataclass, replace

import torch
import transformers
from torch import Tensor

from tests.benchmarks.pretrain.gpu import report_gpu
from tests.benchmarks.pretrain.setting import MAX_LENGTH, SIZES, Setting
from tests.benchmarks.pretrain.turns import Cost, Turns, alternate
from tests.benchmarks.pretrain.yardstick import PADDINGS, into_ours, run_trainer
from videobert.pretrain.train import train

LEAST_STEPS = 3
"""Of a comparison; its first step, which builds the models, is no part of the ratio."""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Ours and the yardstick over the same steps."""

    setting: Setting
    ours: list[Cost]
    theirs: list[Cost]
    our_losses: Tensor
    their_losses: Tensor

    def ratio(self, clock: str) -> float:
        """How many times as fast ours is, first step left out."""
        pairs = zip(self.ours[1:], self.theirs[1:], strict=True)
        ratios: list[float] = [getattr(their, clock) / getattr(our, clock) for our, their in pairs]
        return statistics.median(ratios)

    def speeds(self, clock: str) -> tuple[float, float]:
        """Real tokens a second of ours and theirs, first step left out."""
        tokens = sum(sum(lengths) for lengths in self.setting.lengths()[1:])
        return (
            tokens / sum(getattr(cost, clock) for cost in self.ours[1:]),
            tokens / sum(getattr(cost, clock) for cost in self.theirs[1:]),
        )


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--size", choices=tuple(SIZES), default="small")
    parser.add_argument("--seconds", type=float, default=240.0, help="for both paddings together, about")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of both rivals")
    parser.add_argument("--batch", type=int, default=32, help="sequences a step")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    setting = Setting(
        size=options.size, batch=options.batch, steps=LEAST_STEPS, threads=options.threads, device=options.device,
        precision=options.precision,
    )  # fmt: skip
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {_machine(setting)}")
    for padding in PADDINGS:
        probe = pair(setting, padding)
        both = statistics.median(our.wall + their.wall for our, their in zip(probe.ours, probe.theirs, strict=True))
        steps = max(LEAST_STEPS, int(options.seconds / len(PADDINGS) / both) - LEAST_STEPS)
        _report(pair(replace(setting, steps=steps), padding), probe, padding)
    _report_alone(replace(setting, steps=max(20, int(options.seconds / 10))))
    if options.device == "cuda":
        report_gpu(setting)


def pair(setting: Setting, padding: str) -> Pairing:
    """Train both, in turns."""
    config = setting.config
    ours, kept = setting.model(), []

    def own_loop(turns: Turns) -> None:
        train(ours, setting.videos, config, on_step=lambda _: _step_end(setting, turns))

    def trainer(turns: Turns) -> None:
        kept.append(run_trainer(setting, padding=padding, on_step=lambda: _step_end(setting, turns)))

    our_costs, their_costs = alternate(own_loop, trainer)
    return Pairing(
        setting=setting, ours=our_costs, theirs=their_costs, our_losses=setting.masked_losses(ours),
        their_losses=setting.masked_losses(into_ours(kept[0], setting)),
    )  # fmt: skip


def _step_end(setting: Setting, turns: Turns) -> None:
    if setting.device == "cuda":
        torch.cuda.synchronize()
    turns.next()


def _report(pairing: Pairing, cold: Pairing, padding: str) -> None:
    setting, difference = pairing.setting, pairing.our_losses - pairing.their_losses
    mean_length = statistics.mean(length for step in setting.lengths() for length in step)
    width = MAX_LENGTH if padding == "max" else "the longest"
    error = float(difference.std()) / len(difference) ** 0.5
    start = float(setting.masked_losses(setting.model().to(setting.device)).mean())
    our_loss, their_loss = float(pairing.our_losses.mean()), float(pairing.their_losses.mean())
    print(f"\n{setting.size}, {setting.precision}, {setting.steps} steps of {setting.batch} sequences of mean length "
          f"{mean_length:.1f}, Trainer pads to {width}")  # fmt: skip
    ours, theirs = pairing.speeds("wall")
    print("                                         ours     Trainer   ours / Trainer")
    print(f"real tokens/s, wall time          {ours:11,.0f} {theirs:11,.0f} {pairing.ratio('wall'):16.2f}")
    ours, theirs = pairing.speeds("cpu")
    print(f"real tokens/s, CPU time           {ours:11,.0f} {theirs:11,.0f} {pairing.ratio('cpu'):16.2f}")
    print(f"masked-LM loss, {start:7.4f} before   {our_loss:11.4f} {their_loss:11.4f}   "
          f"difference {our_loss - their_loss:+.4f} +- {error:.4f}")  # fmt: skip
    print(f"seconds to the first step         {cold.ours[0].wall:11.2f} {cold.theirs[0].wall:11.2f}", flush=True)


def _report_alone(setting: Setting) -> None:
    """Our loop without a rival, second half of the steps."""
    config = replace(setting.config, log_every_steps=setting.steps // 2)
    model = setting.model()
    record = train(model, setting.videos, config).curve[1]
    print(f"\nours alone, {setting.steps // 2} steps: {record['tokens_per_second']:,.0f} tokens/s, "
          f"data wait {100 * record['data_wait']:.2f} % of the time")  # fmt: skip


def _machine(setting: Setting) -> str:
    name = torch.cuda.get_device_name() if setting.device == "cuda" else platform.processor() or platform.machine()
    capability = torch.backends.cpu.get_cpu_capability()
    return f"Python {platform.python_version()}, {name} ({capability}), {setting.threads} threads"


if __name__ == "__main__":
    main()
