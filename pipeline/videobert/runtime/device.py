"""The torch device that a configuration names."""

from __future__ import annotations

import torch

from videobert.errors import InputError

__all__ = ["pick_device"]


def pick_device(name: str) -> torch.device:
    """`auto` is the first GPU when there is one. Raises `InputError` for a device that is not here."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if gpus else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device={name!r} is none that torch knows; use auto, cpu or cuda") from error
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise InputError(f"device={name!r} is not here ({gpus} GPUs are visible); use auto or cpu")
    return device
