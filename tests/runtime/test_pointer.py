"""The `current` pointer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from videobert.errors import ConflictError, InputError
from videobert.runtime.pointer import Pointer, move_pointer, read_pointer
from videobert.runtime.storage import Store

POINTER = Pointer(
    model_spec="pretrain-1", embed_spec="pretrain-1.abcd", report="reports/evaluate-1", former=("b.2", "a.1")
)


def test_it_moves_in_one_write(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert read_pointer(store) is None
    move_pointer(store, POINTER, former=None)
    assert read_pointer(store) == POINTER and store.writes == 1
    assert list(store.list("")) == ["models/current.json"]


def test_of_two_that_move_it_at_once_the_second_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    move_pointer(store, POINTER, former=None)
    other = dataclasses.replace(POINTER, report="")
    with pytest.raises(ConflictError, match="was moved by another run"):
        move_pointer(store, other, former=None)
    move_pointer(store, other, former=POINTER)
    assert read_pointer(store) == other


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"model_spec": "x", "extra": 1}'])
def test_a_broken_pointer_is_an_input_error(tmp_path: Path, data: bytes) -> None:
    store = Store(str(tmp_path))
    store.write("models/current.json", data)
    with pytest.raises(InputError, match="promote a model again"):
        read_pointer(store)
