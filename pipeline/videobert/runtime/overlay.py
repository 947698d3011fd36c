"""A store that writes to a folder of this machine and reads what is not there from another store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from videobert.runtime.storage import Store

__all__ = ["Overlay"]


class Overlay(Store):
    """Stages run over it as over any store, and leave the one below as it is."""

    def __init__(self, root: str, below: Store) -> None:
        super().__init__(root)
        self._below = below

    def __reduce__(self) -> tuple[type[Store], tuple[str, Store]]:  # type: ignore[override]  # its own arguments
        return Overlay, (self.root, self._below)

    def read(self, path: str) -> bytes:
        try:
            return super().read(path)
        except FileNotFoundError:
            return self._below.read(path)

    def open(self, path: str) -> IO[bytes]:
        try:
            return super().open(path)
        except FileNotFoundError:
            return self._below.open(path)

    def exists(self, path: str) -> bool:
        return super().exists(path) or self._below.exists(path)

    def list(self, folder: str) -> dict[str, int]:
        return dict(sorted({**self._below.list(folder), **super().list(folder)}.items()))

    def folders(self, folder: str) -> Sequence[str]:
        return sorted({*self._below.folders(folder), *super().folders(folder)})
