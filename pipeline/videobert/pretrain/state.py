"""The state of training besides the weights: the step and AdamW's moments, as safetensors and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from videobert.errors import InputError
from videobert.model.tensors import load_tensors

__all__ = ["TrainState", "load_state", "save_state"]

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(slots=True, kw_only=True)
class TrainState:
    """Everything an exact resume needs besides the weights; the data is a function of step and window_steps."""

    step: int = 0
    """Optimiser steps done."""
    moments: dict[str, Tensor] = field(default_factory=dict)
    """AdamW's moments by `<moment>.<parameter>`, on the CPU."""
    curve: list[dict[str, float]] = field(default_factory=list)
    """One record a logged step: step, loss, its parts, learning_rate, gradient_norm, tokens_per_second, data_wait."""
    window_steps: list[int] = field(default_factory=list)
    """Steps of every window of the corpus met so far; empty when the corpus is a single one."""
    checks: list[dict[str, float]] = field(default_factory=list)
    """One record per check on the videos kept aside: step, loss and its parts, ranking."""
    plan: dict[str, int] = field(default_factory=dict)
    """Where training may stop early: its full `steps`, `videos` kept aside and their `segments`; else empty."""


def save_state(state: TrainState, directory: Path) -> None:
    """Write `train_state.safetensors` and `train_state.json` into an existing directory."""
    save_file(
        {name: tensor.contiguous() for name, tensor in state.moments.items()}, directory / "train_state.safetensors"
    )
    values: dict[str, Any] = {"step": state.step, "curve": state.curve}
    if state.window_steps:
        values["window_steps"] = state.window_steps
    if state.plan:
        values |= {"plan": state.plan, "checks": state.checks}
    text = json.dumps(values, sort_keys=True)
    (directory / "train_state.json").write_text(text + "\n")


def load_state(directory: Path) -> TrainState:
    """Read what `save_state` wrote; raises InputError when it is not there."""
    path = directory / "train_state.json"
    if not path.is_file():
        raise InputError(f"{directory} has no train_state.json: only checkpoints with optimiser state can be resumed")
    values = json.loads(path.read_text())
    moments = load_tensors(directory / "train_state.safetensors")
    return TrainState(
        step=int(values["step"]),
        moments=moments,
        curve=list(values["curve"]),
        window_steps=list(values.get("window_steps", ())),
        checks=list(values.get("checks", ())),
        plan=dict(values.get("plan", {})),
    )


def take_moments(optimiser: torch.optim.Optimizer, names: Mapping[nn.Parameter, str]) -> dict[str, Tensor]:
    """Copies of the optimiser's moments under the parameters' names."""
    return {
        f"{moment}.{name}": optimiser.state[parameter][moment].detach().cpu().clone()
        for parameter, name in names.items()
        for moment in MOMENTS
    }


def put_moments(optimiser: torch.optim.Optimizer, names: Mapping[nn.Parameter, str], state: TrainState) -> None:
    """Set the optimiser to a state; raises InputError when the parameters differ."""
    wanted = {f"{moment}.{name}" for name in names.values() for moment in MOMENTS}
    if wanted != set(state.moments):
        odd = sorted(wanted ^ set(state.moments))[:3]
        raise InputError(f"the optimiser state differs from the model in {odd}: resume with the config it began with")
    for parameter, name in names.items():
        optimiser.state[parameter] = {
            "step": torch.tensor(float(state.step), device=parameter.device),
            **{moment: state.moments[f"{moment}.{name}"].to(parameter.device, copy=True) for moment in MOMENTS},
        }
