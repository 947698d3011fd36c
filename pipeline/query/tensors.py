"""Some rows of a tensor in a safetensors object: its header tells where they lie, so nothing else is read.

Layout: 8 bytes with the length of the header, little-endian; the header, JSON; the tensors, back to back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

__all__ = ["TensorFile", "header_of"]

_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8")}
_LONGEST_HEADER = 1 << 20


def header_of(shapes: Mapping[str, tuple[str, Sequence[int]]]) -> bytes:
    """What stands before the tensors: name -> (type, shape), in the order in which their bytes follow."""
    header, at = {}, 0
    for name, (kind, shape) in shapes.items():
        end = at + int(np.prod(shape, dtype=np.int64)) * _TYPES[kind].itemsize
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class TensorFile:
    """An open object. Raises InputError when it is no safetensors file."""

    def __init__(self, source: IO[bytes], *, name: str) -> None:
        self._source = source
        length = int.from_bytes(source.read(8), "little")
        try:
            header: dict[str, Any] = json.loads(source.read(length)) if 0 < length <= _LONGEST_HEADER else {}
            self._tensors = {key: value for key, value in header.items() if key != "__metadata__"}
            self._base = 8 + length
            if not self._tensors:
                raise ValueError("no tensors")
        except ValueError as error:
            raise InputError(
                f"{name} is no safetensors file ({error}); remove its folder and build it again"
            ) from error

    def rows(self, name: str, ranges: Sequence[tuple[int, int]]) -> Iterator[NDArray[Any]]:
        """Rows `low` to `high` of a tensor for every range, in one read each; InputError when they are not there."""
        about = self._tensors[name]
        kind, shape = _TYPES[about["dtype"]], tuple(about["shape"])
        width = kind.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        for low, high in ranges:
            self._source.seek(self._base + about["data_offsets"][0] + low * width)
            data = self._source.read((high - low) * width)
            if len(data) != (high - low) * width:
                raise InputError(f"tensor {name!r} ends before row {high}; remove the file and build it again")
            yield np.frombuffer(data, kind).reshape(-1, *shape[1:])

    def whole(self, name: str) -> NDArray[Any]:
        """All rows of a tensor."""
        return next(self.rows(name, [(0, self._tensors[name]["shape"][0])]))
