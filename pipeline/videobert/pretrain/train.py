"""The training loop: AdamW, linear warm-up and decay, exact resume, gradients summed over workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import torch

from videobert.model.batch import Batch, collate
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.distributed import from_first_worker, sum_gradients, sum_over_workers
from videobert.pretrain.objective import PARTS, counts, loss_sums, loss_weights
from videobert.pretrain.precision import autocast
from videobert.pretrain.seeding import seed_of
from videobert.pretrain.state import TrainState, put_moments, take_moments
from videobert.pretrain.stopping import has_stopped, is_best
from videobert.pretrain.stream import Stream
from videobert.pretrain.validation import Validator, keep_aside
from videobert.pretrain.windows import Windows
from videobert.runtime.device import pick_device
from videobert.tokens.records import TokenizedVideo

__all__ = ["learning_rate", "train"]


def train(
    model: VideoBert,
    videos: Sequence[TokenizedVideo] | Windows,
    config: PretrainConfig,
    *,
    state: TrainState | None = None,
    rank: int = 0,
    world_size: int = 1,
    on_step: Callable[[dict[str, float]], None] | None = None,
    on_check: Callable[[TrainState], None] | None = None,
    on_checkpoint: Callable[[VideoBert, TrainState], None] | None = None,
) -> TrainState:
    """Train `model` in place to the end of the run, or on from `state`; returns the final state.

    Every worker sees all `videos`, window after window where they come in windows, and computes its own part of each
    batch; with `torch.distributed` set up, gradients are summed, so the batch of a step does not depend on
    `world_size`. On one CPU set-up a resumed run equals an uninterrupted one bit for bit. `on_step` receives each
    record of the curve, `on_checkpoint` is called every `checkpoint_every_steps` and after the last step; with
    `validation`, also after every best check so far, and `on_check` after each. Raises InputError when there is nothing
    to learn or the batch is too small to share.
    """
    device = pick_device(config.device)
    model.to(device).train()
    state = state or TrainState()
    if has_stopped(state.checks, patience=config.validation.patience):
        return state
    windows, aside = keep_aside(videos if isinstance(videos, Windows) else Windows.whole(videos), config.validation)
    stream = Stream(
        windows,
        vocabulary=model.vocabulary,
        config=config,
        max_length=model.max_length,
        parts=world_size * config.accumulation,
        first=state.step,
        window_steps=state.window_steps,
    )
    if config.most_epochs:
        config = replace(config, warmup_steps=min(config.warmup_steps, stream.steps // 10))
    if config.validation.checks:
        state.plan = {"steps": stream.steps, "videos": len(aside), "segments": sum(len(v.segments) for v in aside)}
    loop = _Loop(model, config, device=device, steps=stream.steps, state=state, rank=rank)
    check = _checker(
        model, aside, config, device, state, every=max(1, stream.steps // max(1, config.validation.checks))
    )
    own = range(rank * config.accumulation, (rank + 1) * config.accumulation)
    with _threads(config.threads), ThreadPoolExecutor(1) as reader, stream:
        for batches, waited in _ahead(reader, stream, own, first=state.step):
            loop.step(batches, waited=waited)
            best = check(last=state.step == stream.steps)
            if best is not None and on_check:
                on_check(state)
            ended = state.step == stream.steps or has_stopped(state.checks, patience=config.validation.patience)
            # A checkpoint closes a record, so that a resumed run has the curve of an uninterrupted one.
            due = ended or best or _divides(config.checkpoint_every_steps, state.step)
            if due or _divides(config.log_every_steps, state.step):
                record = loop.record()
                if on_step:
                    on_step(record)
            if due:
                state.moments = take_moments(loop.optimiser, loop.names)
                state.window_steps = stream.met(state.step)
                if on_checkpoint:
                    on_checkpoint(model, state)
            if ended:
                break
    model.eval()
    return state


def learning_rate(config: PretrainConfig, *, step: int, steps: int) -> float:
    """Linear warm-up to the peak, then linear decay that would reach 0 at `steps`."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    return config.learning_rate * (steps - step) / max(1, steps - config.warmup_steps)


def _checker(
    model: VideoBert,
    aside: Sequence[TokenizedVideo],
    config: PretrainConfig,
    device: torch.device,
    state: TrainState,
    *,
    every: int,
) -> Callable[..., bool | None]:
    """`check(last=)` adds to the state's checks where one is due, and says whether it is the best; None: not due.

    What is measured is that of the first worker on all of them: they must agree when to stop.
    """
    validator = Validator(aside, model, config, device) if aside else None

    def check(*, last: bool) -> bool | None:
        if validator is None or not (last or _divides(every, state.step)):
            return None
        found = from_first_worker(validator.check(), device)
        state.checks.append({"step": state.step, **found})
        return is_best(state.checks)

    return check


class _Loop:
    """One optimiser step after the other."""

    def __init__(
        self,
        model: VideoBert,
        config: PretrainConfig,
        *,
        device: torch.device,
        steps: int,
        state: TrainState,
        rank: int,
    ) -> None:
        self._model, self._config, self._device, self._steps, self._state = model, config, device, steps, state
        self._rank = rank
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.names = {parameter: name for name, parameter in named}
        # Embeddings are exempt from decay like norms and biases: decay would move frozen rows and rows of rare words.
        decayed = [p for name, p in named if p.ndim == 2 and "embeddings" not in name]
        plain = [p for name, p in named if p.ndim != 2 or "embeddings" in name]
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
        if state.moments:
            put_moments(self.optimiser, self.names, state)
        self._weights = loss_weights(config.weights, device)
        self._rate, self._norm = 0.0, torch.zeros(())
        self._reset_log()

    def _reset_log(self) -> None:
        self._sums = torch.zeros(len(PARTS), device=self._device)
        self._counts = torch.zeros(len(PARTS), dtype=torch.float64, device=self._device)
        self._tokens, self._waited, self._since = 0, 0.0, time.perf_counter()

    def step(self, batches: list[Batch], *, waited: float) -> None:
        """Forward, backward and update over the parts of a batch, for which the loop `waited` some seconds."""
        config, state = self._config, self._state
        # Counted before the batch moves: on a GPU the counting would wait for all that runs there.
        count = sum_over_workers(torch.stack([counts(batch) for batch in batches]).sum(0).to(self._device))
        batches = [batch.to(self._device) for batch in batches]
        scale = (self._weights / count.clamp(min=1)).float()
        self.optimiser.zero_grad()
        sums = torch.zeros_like(self._sums)
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            # Dropout follows from (seed, step, worker), not from what was drawn before.
            torch.manual_seed(seed_of(config.seed, "dropout", state.step, self._rank, bits=56))
            for batch in batches:
                with autocast(config, self._device):
                    losses = loss_sums(self._model, batch, weights=config.weights)
                (losses * scale).sum().backward()  # type: ignore[no-untyped-call]
                sums += losses.detach()
        self._fill_gradients()
        sum_gradients(self.names)
        norm = torch.nn.utils.clip_grad_norm_(list(self.names), config.clip_norm)
        rate = learning_rate(config, step=state.step, steps=self._steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        state.step += 1
        self._sums += sums
        self._counts += count
        self._tokens += sum(len(batch.tokens.ids_T) for batch in batches)
        self._waited += waited
        self._rate, self._norm = rate, norm

    def record(self) -> dict[str, float]:
        """Means since the last record, which are also added to the curve."""
        means = (sum_over_workers(self._sums) / self._counts).float()
        # A loss without a single example is left out, not reported as 0.
        parts = {name: value for name, value in zip(PARTS, means.tolist(), strict=True) if value == value}
        seconds = time.perf_counter() - self._since
        record: dict[str, float] = {
            "step": self._state.step,
            "loss": float((means * self._weights).nan_to_num().sum()),
            **parts,
            "learning_rate": self._rate,
            "gradient_norm": float(self._norm),
            "tokens_per_second": self._tokens / seconds,
            "data_wait": self._waited / seconds,
        }
        self._state.curve.append(record)
        self._reset_log()
        return record

    def _fill_gradients(self) -> None:
        """Zeros for what no loss has touched: every worker has the same gradients, whatever regimes its part holds."""
        for parameter in self.names:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)


def _ahead(
    reader: ThreadPoolExecutor, stream: Stream, own: range, *, first: int
) -> Iterator[tuple[list[Batch], float]]:
    """The batches of every step from `first`, each built while the one before is computed, and the seconds waited."""

    def read(step: int) -> list[Batch]:
        return [collate(stream.examples(step, part=part)) for part in own]

    if first >= stream.steps:
        return
    waiting = reader.submit(read, first)
    for step in range(first, stream.steps):
        since = time.perf_counter()
        ready = waiting.result()
        waited = time.perf_counter() - since
        if step + 1 < stream.steps:
            waiting = reader.submit(read, step + 1)
        yield ready, waited


def _divides(every: int, step: int) -> bool:
    return every > 0 and step % every == 0


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
