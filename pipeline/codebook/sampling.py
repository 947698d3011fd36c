"""A uniform sample of clips that does not depend on how they lie in shards, nor on the order of the shards."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.codebook.exact import mix
from pipeline.errors import InputError

__all__ = ["ClipSample", "priorities"]


def priorities(video_ids: Sequence[str], clip_indices: NDArray[np.int64], *, seed: int) -> NDArray[np.uint64]:
    """Hash uint64 [N] of (seed, video id, clip index): the clips of least hash are a uniform sample."""
    if len(video_ids) != len(clip_indices):
        raise InputError(f"{len(video_ids)} video ids for {len(clip_indices)} clips; give one id a clip")
    names, place = np.unique(np.asarray(video_ids, dtype=np.str_), return_inverse=True)
    digests = [hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest() for name in names.tolist()]
    salts = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)[place]
    return mix(salts + mix(np.asarray(clip_indices).astype(np.uint64), seed), seed)


class ClipSample:
    """Keeps at most `limit` clips of all that are added (0 keeps all); memory is bounded by the limit and one shard."""

    def __init__(self, limit: int, *, seed: int) -> None:
        if limit < 0:
            raise InputError(f"limit={limit} is a number of clips; 0 keeps all")
        self._limit, self._seed = limit, seed
        self._keys = np.zeros(0, dtype=np.uint64)
        self._videos = np.zeros(0, dtype="<U64")
        self._clips = np.zeros(0, dtype=np.int64)
        self._vectors: NDArray[np.float32] | None = None

    def add(self, vectors: NDArray[np.float32], video_ids: Sequence[str], clip_indices: NDArray[np.int64]) -> None:
        """Offer a shard: float32 [N, D], video id and clip index of every row; a clip must be offered once only."""
        if vectors.ndim != 2 or len(vectors) != len(video_ids):
            raise InputError(f"vectors of shape {vectors.shape} for {len(video_ids)} clips; give [clips, dimension]")
        if self._vectors is not None and self._vectors.shape[1] != vectors.shape[1]:
            raise InputError(f"vectors of {vectors.shape[1]} dimensions after {self._vectors.shape[1]}; use one spec")
        self._merge(priorities(video_ids, clip_indices, seed=self._seed), np.asarray(video_ids), clip_indices, vectors)

    def update(self, other: ClipSample) -> None:
        """Take in the sample of another worker of the same limit and seed."""
        if (other._limit, other._seed) != (self._limit, self._seed):
            raise InputError(f"samples of {(other._limit, other._seed)} and {(self._limit, self._seed)} (limit, seed)")
        if other._vectors is not None:
            self._merge(other._keys, other._videos, other._clips, other._vectors)

    def vectors(self) -> NDArray[np.float32]:
        """The sample float32 [n, D], in the order of its hashes."""
        if self._vectors is None:
            raise InputError("no clips were offered; run the features stage first, or widen the batches")
        return self._vectors

    def clips(self) -> list[tuple[str, int]]:
        """(video id, clip index) of every row of `vectors`."""
        return list(zip(self._videos.tolist(), self._clips.tolist(), strict=True))

    def _merge(
        self,
        keys: NDArray[np.uint64],
        videos: NDArray[np.str_],
        clips: NDArray[np.int64],
        vectors: NDArray[np.float32],
    ) -> None:
        keys, videos = np.concatenate((self._keys, keys)), np.concatenate((self._videos, videos))
        clips = np.concatenate((self._clips, np.asarray(clips, dtype=np.int64)))
        order = np.lexsort((clips, videos, keys))[: self._limit or None]
        self._keys, self._videos, self._clips = keys[order], videos[order], clips[order]
        held = vectors if self._vectors is None else np.concatenate((self._vectors, vectors))
        self._vectors = held[order]
