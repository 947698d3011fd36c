"""The `current` pointer."""

from __future__ import annotations

from pathlib import Path

import pytest

from videobert.errors import InputError
from videobert.runtime.pointer import Pointer, read_pointer, write_pointer
from videobert.runtime.storage import Store

POINTER = Pointer(
    model_spec="pretrain-1", embed_spec="pretrain-1.abcd", report="reports/evaluate-1", former=("b.2", "a.1")
)


def test_it_moves_in_one_write(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert read_pointer(store) is None
    write_pointer(store, POINTER)
    assert read_pointer(store) == POINTER and store.writes == 1
    assert list(store.list("")) == ["models/current.json"]


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"model_spec": "x", "extra": 1}'])
def test_a_broken_pointer_is_an_input_error(tmp_path: Path, data: bytes) -> None:
    store = Store(str(tmp_path))
    store.write("models/current.json", data)
    with pytest.raises(InputError, match="promote a model again"):
        read_pointer(store)
