"""Reading safetensors, the only form in which weights are kept."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from videobert.errors import InputError

__all__ = ["load_tensors"]


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name. Raises InputError when the file is something else."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is no readable safetensors file ({error}); take another checkpoint") from error
