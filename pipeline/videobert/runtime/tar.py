"""Deterministic WebDataset tars: the same samples give the same bytes, readable by plain `webdataset`."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from videobert.errors import InputError

__all__ = ["Member", "TarWriter", "find_members", "read_json", "read_members"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Where the bytes of a member are within its tar."""

    name: str
    offset: int
    size: int


class TarWriter:
    """Writes members in the order given, with nothing of clock, user or machine in the headers."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._tar = tarfile.TarFile(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name: str, data: bytes) -> None:
        self._add(name, len(data), io.BytesIO(data))

    def add_file(self, name: str, path: Path) -> None:
        with path.open("rb") as source:
            self._add(name, path.stat().st_size, source)

    def close(self) -> None:
        self._tar.close()

    def _add(self, name: str, size: int, source: IO[bytes]) -> None:
        info = tarfile.TarInfo(name)
        info.size = size
        info.mode = 0o644
        self._tar.addfile(info, source)


def read_members(source: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Stream (name, reader) of a tar. Raises InputError for a member that is no plain file or leaves the folder."""
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            for info in tar:
                _check_plain(info)
                reader = tar.extractfile(info)
                assert reader is not None  # isreg() holds
                yield info.name, reader
    except tarfile.ReadError as error:
        raise InputError(f"this shard is no readable tar ({error}); remove it and run its stage again") from error


def find_members(source: IO[bytes]) -> Iterator[Member]:
    """Where the members of a seekable tar are; reads their headers only. Raises InputError as `read_members` does."""
    try:
        with tarfile.open(fileobj=source, mode="r:") as tar:
            for info in tar:
                _check_plain(info)
                yield Member(name=info.name, offset=info.offset_data, size=info.size)
    except tarfile.ReadError as error:
        raise InputError(f"this shard is no readable tar ({error}); remove it and run its stage again") from error


def _check_plain(info: tarfile.TarInfo) -> None:
    path = PurePosixPath(info.name)
    # A sparse file of some bytes may stand for terabytes of zeros.
    if not info.isreg() or info.issparse() or path.is_absolute() or ".." in path.parts:
        raise InputError(f"tar member {info.name!r} is not a plain relative file; rebuild this shard")


def read_json(name: str, reader: IO[bytes]) -> Any:
    """The value of a JSON member. Raises InputError when it is none."""
    try:
        return json.loads(reader.read())
    except ValueError as error:
        raise InputError(f"tar member {name!r} is not JSON ({error}); remove the shard, run its stage again") from error
