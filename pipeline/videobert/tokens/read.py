"""Reading committed token shards."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.runtime.manifest import Output, groups_by_bytes
from videobert.runtime.storage import Store
from videobert.runtime.tar import read_json, read_members

__all__ = ["array_bytes", "read_samples", "read_shard"]

_RESIDUALS = ".residuals.npy"
"""What the visual tokens dropped comes before its sample, where a codebook keeps it."""
_GROUP_BYTES = 16 << 20
"""Fetched before they are parsed; shards of tokens are small, and this many of them hide the way to the store."""


def read_shard(store: Store, path: str) -> Iterator[dict[str, Any]]:
    """Samples of one tar, in order; `tokens.core.from_json` makes records of them."""
    with store.open(path) as source:
        yield from _samples(source)


def read_samples(store: Store, outputs: Iterable[Output]) -> Iterator[dict[str, Any]]:
    """Samples of token shards of any batches, some fetched at once; a video that lies in several shards comes once."""
    seen: set[str] = set()
    for group in groups_by_bytes(outputs, limit=_GROUP_BYTES):
        for path, data in store.read_many([output.path for output in group]):
            if data is None:
                raise FileNotFoundError(store.url(path))
            for sample in _samples(io.BytesIO(data)):
                if sample["video_id"] not in seen:
                    seen.add(sample["video_id"])
                    yield sample


def array_bytes(rows: NDArray[np.float16]) -> bytes:
    """An array as a member of a tar: numpy's own format, which `np.load` reads."""
    sink = io.BytesIO()
    np.save(sink, rows, allow_pickle=False)
    return sink.getvalue()


def _samples(source: IO[bytes]) -> Iterator[dict[str, Any]]:
    residuals: dict[str, NDArray[np.float16]] = {}
    for name, reader in read_members(source):
        if name.endswith(_RESIDUALS):
            try:
                residuals = {name.removesuffix(_RESIDUALS): np.load(io.BytesIO(reader.read()), allow_pickle=False)}
            except ValueError as error:
                raise InputError(
                    f"tar member {name!r} is no array ({error}); remove the shard, run its stage again"
                ) from error
            continue
        sample = read_json(name, reader)
        if (rows := residuals.get(sample["video_id"])) is not None:
            sample["residuals"] = rows
        yield sample
