"""Which parameters are trained, how fast, and which decay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from videobert.finetune.config import FinetuneConfig
from videobert.tasks.base import TaskNetwork

__all__ = ["freeze", "parameter_groups"]

_LAYER = re.compile(r"encoder\.bert\.encoder\.layer\.(\d+)\.")
_INPUT = ("encoder.bert.embeddings.", "encoder.residual.")


def freeze(network: TaskNetwork, config: FinetuneConfig) -> dict[str, nn.Parameter]:
    """Switch gradients off where `config` says so, and return what is trained, by name."""
    layers = int(network.encoder.config.num_hidden_layers)
    trained = {}
    for name, parameter in network.named_parameters():
        wanted = parameter.requires_grad and _is_free(name, network, config, layers=layers)
        parameter.requires_grad_(wanted)
        if wanted:
            trained[name] = parameter
    return trained


def parameter_groups(
    trained: Mapping[str, nn.Parameter], config: FinetuneConfig, *, layers: int
) -> list[dict[str, Any]]:
    """AdamW's groups; `scale` is the factor on the learning rate, smaller the deeper a layer lies; `waits` says that it
    is the encoder's, which may begin later."""
    groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        decays = parameter.ndim == 2 and "embeddings" not in name
        waits = bool(_LAYER.match(name)) or name.startswith(_INPUT)
        scale = config.layer_decay ** _depth(name, layers) * (config.encoder_rate if waits else 1.0)
        groups.setdefault((scale, decays, waits), []).append(parameter)
    return [
        {"params": members, "scale": scale, "weight_decay": config.weight_decay if decays else 0.0, "waits": waits}
        for (scale, decays, waits), members in groups.items()
    ]


def _is_free(name: str, network: TaskNetwork, config: FinetuneConfig, *, layers: int) -> bool:
    if not name.startswith("encoder."):
        return True
    if found := _LAYER.match(name):
        return config.freeze != "encoder" or int(found[1]) >= layers - config.top_layers
    if name.startswith(_INPUT):
        return config.freeze == "nothing"
    return name.split(".")[1] in network.heads


def _depth(name: str, layers: int) -> int:
    """Layers between a parameter and the head."""
    if found := _LAYER.match(name):
        return layers - int(found[1])
    return layers + 1 if name.startswith(_INPUT) else 0
