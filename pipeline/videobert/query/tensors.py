"""Some rows of a tensor in a safetensors object: its header gives their offsets, so nothing else is read.

Layout: 8 bytes with the length of the header, little-endian; the header, JSON; the tensors, back to back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.runtime.storage import Store

__all__ = ["TensorFile", "header_of"]

_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8")}
_HEAD_BYTES = 64 << 10
"""Read at once: the header, and often the first tensor too."""


def header_of(shapes: Mapping[str, tuple[str, Sequence[int]]]) -> bytes:
    """What comes before the tensors: name -> (type, shape), in the order in which their bytes follow."""
    header, at = {}, 0
    for name, (kind, shape) in shapes.items():
        end = at + int(np.prod(shape, dtype=np.int64)) * _TYPES[kind].itemsize
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class TensorFile:
    """One object of a store. Raises InputError when it is no safetensors file."""

    def __init__(self, store: Store, path: str) -> None:
        self._store, self._path = store, path
        [self._head] = store.read_ranges(path, [(0, _HEAD_BYTES)])
        self._base = 8 + int.from_bytes(self._head[:8], "little")
        try:
            self._tensors: dict[str, Any] = json.loads(self._head[8 : self._base])
        except ValueError as error:
            raise InputError(
                f"{store.url(path)} is no safetensors file ({error}); remove its folder and build it again"
            ) from error

    @property
    def names(self) -> list[str]:
        """Of the tensors."""
        return [name for name in self._tensors if name != "__metadata__"]

    def rows(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[NDArray[Any]]:
        """Rows `low` to `high` of a tensor for every range; InputError when they are not there."""
        about = self._about(name)
        kind, shape = _TYPES[about["dtype"]], about["shape"][1:]
        width = kind.itemsize * int(np.prod(shape, dtype=np.int64))
        first = self._base + about["data_offsets"][0]
        spans = [(first + low * width, first + high * width) for low, high in ranges]
        if all(end <= len(self._head) for _, end in spans):
            found = [self._head[start:end] for start, end in spans]
        else:
            found = self._store.read_ranges(self._path, spans)
        if any(len(data) != end - start for data, (start, end) in zip(found, spans, strict=True)):
            raise InputError(f"{self._store.url(self._path)} is cut short; remove its folder and build it again")
        return [np.frombuffer(data, kind).reshape(-1, *shape) for data in found]

    def whole(self, name: str) -> NDArray[Any]:
        """All rows of a tensor."""
        return self.rows(name, [(0, self._about(name)["shape"][0])])[0]

    def _about(self, name: str) -> dict[str, Any]:
        about = self._tensors.get(name) if isinstance(self._tensors, dict) else None
        if not isinstance(about, dict) or about.get("dtype") not in _TYPES:
            raise InputError(
                f"{self._store.url(self._path)} holds no tensor {name!r} of a known type; remove its folder and build "
                "it again"
            )
        return about
