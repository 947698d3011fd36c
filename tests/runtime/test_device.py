"""Devices by name."""

from __future__ import annotations

import pytest
import torch

from videobert.errors import InputError
from videobert.runtime.device import pick_device


def test_auto_takes_a_gpu_where_there_is_one() -> None:
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("name", "message"), [("cuda:99", "is not here"), ("gpu", "none that torch knows")])
def test_a_device_that_is_not_here_is_named(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pick_device(name)
