"""The training loop of every task: AdamW, warm-up and decay, early stopping, exact resume."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from videobert.finetune.config import AugmentOptions, FinetuneConfig
from videobert.finetune.parameters import freeze, parameter_groups
from videobert.pretrain.distributed import sum_gradients, sum_over_workers
from videobert.pretrain.seeding import generator, seed_of
from videobert.pretrain.state import TrainState, put_moments, take_moments
from videobert.runtime.device import pick_device
from videobert.tasks.augment import augmented
from videobert.tasks.base import Example, TaskNetwork

__all__ = ["TuneState", "finetune", "rate_at", "steps_of"]

Validate = Callable[[TaskNetwork], dict[str, float]]
"""Figures of the validation split; the first is compared, `loss` decides between equals."""


@dataclass(slots=True, kw_only=True)
class TuneState(TrainState):
    """Where fine-tuning stands besides the weights."""

    best: dict[str, Tensor] = field(default_factory=dict)
    """Trained weights of the best epoch, on the CPU."""
    validation: list[dict[str, float]] = field(default_factory=list)
    """Figures of every epoch that has ended."""

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, with the best figure, and among equals the lowest loss; 0 before the first has ended."""
        ranks = [_rank(figures) for figures in self.validation]
        return ranks.index(max(ranks)) + 1 if ranks else 0

    def is_over(self, config: FinetuneConfig) -> bool:
        """Whether all epochs are done, or patience has run out."""
        done = len(self.validation)
        return done >= config.epochs or bool(config.patience and done - self.best_epoch >= config.patience)


def steps_of(count: int, config: FinetuneConfig) -> int:
    """Optimiser steps of an epoch over so many examples."""
    return math.ceil(count / config.batch_size)


def rate_at(config: FinetuneConfig, *, step: int, steps: int) -> float:
    """Learning rate of a step of `steps` of a phase."""
    warmup = round(config.warmup_fraction * steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    left = (steps - step) / max(1, steps - warmup)
    if config.schedule == "cosine":
        left = (1 - math.cos(math.pi * left)) / 2
    return config.learning_rate * (1.0 if config.schedule == "constant" else left)


def finetune(
    network: TaskNetwork,
    examples: Sequence[Example],
    validate: Validate,
    config: FinetuneConfig,
    *,
    state: TuneState | None = None,
    rank: int = 0,
    world_size: int = 1,
    on_step: Callable[[dict[str, float]], None] = lambda record: None,
    on_checkpoint: Callable[[dict[str, Tensor], TuneState], None] = lambda weights, state: None,
) -> TuneState:
    """Train `network` in place, on from `state`, and leave it with the weights of its best epoch.

    Every worker computes its part of each batch. On one CPU set-up a resumed run equals an uninterrupted one bit for
    bit. `on_checkpoint` gets the trained weights at the end of every epoch.
    """
    device = pick_device(config.device)
    network.to(device)
    state = state or TuneState()
    loop = _Loop(network, config, state=state, device=device, per_epoch=steps_of(len(examples), config))
    per_epoch = steps_of(len(examples), config)
    with _threads(config.threads):
        while not state.is_over(config):
            network.train()
            epoch, begun = divmod(state.step, per_epoch)
            order = generator(config.seed, "epoch", epoch).permutation(len(examples))
            for step in range(begun, per_epoch):
                batch = [(examples[i], i) for i in order[step * config.batch_size : (step + 1) * config.batch_size]]
                loop.step(
                    [_varied(e, network, config, state.step, int(i)) for e, i in batch][rank::world_size], rank=rank
                )
                ended = step + 1 == per_epoch
                due = ended or _divides(config.checkpoint_every_steps, state.step)
                if due or _divides(config.log_every_steps, state.step):
                    on_step(loop.record())
                if ended:
                    state.validation.append(validate(network))
                    if state.best_epoch == len(state.validation):
                        state.best = loop.weights()
                if due:
                    state.moments = take_moments(loop.optimiser, loop.names)
                    on_checkpoint(loop.weights(), state)
        with torch.no_grad():
            for name, parameter in loop.trained.items():
                parameter.copy_(state.best[name])
    network.eval()
    return state


class _Loop:
    """One optimiser step after the other."""

    def __init__(
        self, network: TaskNetwork, config: FinetuneConfig, *, state: TuneState, device: torch.device, per_epoch: int
    ) -> None:
        self._network, self._config, self._state, self._device = network, config, state, device
        self._steps, self._alone = config.epochs * per_epoch, config.head_epochs * per_epoch
        self.trained = freeze(network, config)
        self.names = {parameter: name for name, parameter in self.trained.items()}
        layers = int(network.encoder.config.num_hidden_layers)
        groups = parameter_groups(self.trained, config, layers=layers)
        self._penalised = [
            p
            for name, p in self.trained.items()
            if p.ndim == 2 and not name.startswith("encoder.") and "embeddings" not in name
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        if state.moments:
            put_moments(self.optimiser, self.names, state)
        self._since: list[tuple[float, float]] = []

    def weights(self) -> dict[str, Tensor]:
        """Copies of what is trained, on the CPU."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self.trained.items()}

    def step(self, examples: Sequence[Example], *, rank: int) -> None:
        """Forward, backward and update over this worker's share of a batch."""
        config, state = self._config, self._state
        self.optimiser.zero_grad()
        sums = torch.zeros(2, device=self._device)
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            # Dropout follows from (seed, step, worker), not from what was drawn before.
            torch.manual_seed(seed_of(config.seed, "dropout", state.step, rank, bits=56))
            for part in range(config.accumulation):
                if share := examples[part :: config.accumulation]:
                    with self._autocast():
                        losses_B, weights_B = self._network.losses(share)
                    loss = (losses_B * weights_B).sum()
                    loss.backward()  # type: ignore[no-untyped-call]
                    sums += torch.stack([loss.detach(), weights_B.sum()])
        for parameter in self.names:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        sum_gradients(self.names)
        total, weight = sum_over_workers(sums)
        for parameter in self.names:
            assert parameter.grad is not None
            parameter.grad /= weight
        if config.l1:
            for parameter in self._penalised:
                assert parameter.grad is not None
                parameter.grad += config.l1 * parameter.detach().sign()
        torch.nn.utils.clip_grad_norm_(list(self.names), config.clip_norm)
        begun, end = (self._alone, self._steps) if state.step >= self._alone else (0, self._alone)
        rate = rate_at(config, step=state.step - begun, steps=end - begun)
        for group in self.optimiser.param_groups:
            group["lr"] = 0.0 if group["waits"] and state.step < self._alone else rate * group["scale"]
        self.optimiser.step()
        state.step += 1
        self._since.append((float(total / weight), rate))

    def record(self) -> dict[str, float]:
        """Means since the last record, which are also added to the curve."""
        losses, rates = zip(*self._since, strict=True)
        record = {"step": float(self._state.step), "loss": sum(losses) / len(losses), "learning_rate": rates[-1]}
        self._state.curve.append(record)
        self._since.clear()
        return record

    def _autocast(self) -> torch.autocast | nullcontext[None]:
        precision = self._config.precision
        if precision == "bf16" or (precision == "auto" and self._device.type == "cuda"):
            return torch.autocast(self._device.type, dtype=torch.bfloat16)
        return nullcontext()


def _varied(example: Example, network: TaskNetwork, config: FinetuneConfig, step: int, number: int) -> Example:
    """An example as it is shown at a step: follows from (seed, step, example) alone."""
    if config.augment == AugmentOptions():
        return example
    rng = generator(config.seed, "augment", step, number)
    return augmented(example, config.augment, mask=network.encoder.vocabulary.mask, rng=rng)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rank(figures: dict[str, float]) -> tuple[float, float]:
    return next(iter(figures.values())), -figures["loss"]


def _divides(every: int, step: int) -> bool:
    return every > 0 and step % every == 0
