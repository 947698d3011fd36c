"""A uniform sample of clips that does not depend on how they lie in shards, nor on the order of the shards."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from videobert.codebook.exact import mix
from videobert.errors import InputError

__all__ = ["ClipSample", "priorities"]

_OFFER = np.dtype([("key", np.uint64), ("clip", np.int64), ("file", np.int64), ("row", np.int64)])
_OFFERS_AT_ONCE = 1 << 20


def priorities(video_ids: Sequence[str], clip_indices: NDArray[np.int64], *, seed: int) -> NDArray[np.uint64]:
    """Hash uint64 [N] of (seed, video id, clip index): the clips of least hash are a uniform sample."""
    if len(video_ids) != len(clip_indices):
        raise InputError(f"{len(video_ids)} video ids for {len(clip_indices)} clips; give one id a clip")
    names, place = np.unique(np.asarray(video_ids, dtype=np.str_), return_inverse=True)
    digests = [hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest() for name in names.tolist()]
    salts = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)[place]
    return mix(salts + mix(np.asarray(clip_indices).astype(np.uint64), seed), seed)


class ClipSample:
    """At most `limit` clips of all that are offered (0 keeps all), as rows of the files that they lie in."""

    def __init__(self, limit: int, *, seed: int) -> None:
        if limit < 0:
            raise InputError(f"limit={limit} is a number of clips; 0 keeps all")
        self._limit, self._seed, self._files = limit, seed, 0
        self._offered: list[NDArray[np.void]] = [np.zeros(0, dtype=_OFFER)]
        self._waiting = 0

    def add(self, rows: NDArray[np.int64], video_ids: Sequence[str], clip_indices: NDArray[np.int64]) -> None:
        """Offer some rows of the next file, with video id and clip index of each; a clip must be offered once only."""
        offer = np.zeros(len(rows), dtype=_OFFER)
        offer["key"] = priorities(video_ids, clip_indices, seed=self._seed)
        offer["clip"], offer["file"], offer["row"] = clip_indices, self._files, rows
        self._offered.append(offer)
        self._files += 1
        self._waiting += len(offer)
        if self._limit and self._waiting > max(self._limit, _OFFERS_AT_ONCE):
            self._keep()

    def chosen(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """For every file its rows, ascending, and the places of these in the sample, which is ordered by hash."""
        self._keep()
        (kept,) = self._offered
        order = np.lexsort((kept["row"], kept["file"]))
        ends = np.cumsum(np.bincount(kept["file"], minlength=self._files))[:-1]
        return list(zip(np.split(kept["row"][order], ends), np.split(order, ends), strict=True)) if self._files else []

    def _keep(self) -> None:
        offers = np.concatenate(self._offered)
        self._offered = [offers[np.lexsort((offers["clip"], offers["key"]))][: self._limit or None]]
        self._waiting = 0
