"""Rows of a tensor are read without the rest of its object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from videobert.errors import InputError
from videobert.query.tensors import TensorFile, header_of
from videobert.runtime.storage import Store

TENSORS: dict[str, NDArray[Any]] = {
    "a": np.arange(40_000, dtype=np.float32).reshape(10_000, 4),  # longer than what is read at once
    "b": np.arange(7, dtype=np.int64),
}


def test_rows_of_a_file_of_the_library_are_its_rows(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(save(TENSORS))
    found = TensorFile(Store(str(tmp_path)), "x")
    first, last = found.rows("a", [(0, 3), (9_998, 10_000)])
    assert np.array_equal(first, TENSORS["a"][:3]) and np.array_equal(last, TENSORS["a"][9_998:])
    assert all(np.array_equal(found.whole(name), TENSORS[name]) for name in TENSORS)


def test_the_library_reads_what_stands_behind_our_header() -> None:
    head = header_of({"a": ("F32", TENSORS["a"].shape), "b": ("I64", TENSORS["b"].shape)})
    assert len(head) % 8 == 0
    found = load(head + TENSORS["a"].tobytes() + TENSORS["b"].tobytes())
    assert all(np.array_equal(found[name], TENSORS[name]) for name in TENSORS)


def test_a_file_without_the_tensor_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(save(TENSORS))
    with pytest.raises(InputError, match="x holds no tensor 'c'"):
        TensorFile(Store(str(tmp_path)), "x").whole("c")


@pytest.mark.parametrize("kept", [30, 70_000])
def test_another_file_and_a_torn_one_are_named(tmp_path: Path, kept: int) -> None:
    (tmp_path / "x").write_bytes(save(TENSORS)[:kept])
    with pytest.raises(InputError, match=r"x is (no safetensors file|cut short)"):
        TensorFile(Store(str(tmp_path)), "x").whole("a")
