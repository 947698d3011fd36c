"""The codebook: centroids of every level, saved as one safetensors file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from videobert.codebook.encode import Encoder
from videobert.errors import InputError

__all__ = ["Codebook"]

_FORMAT = "videobert-codebook-1"


@dataclass(frozen=True, kw_only=True)
class Codebook:
    """A fitted hierarchy; k children a node, d levels, D dimensions. A leaf id is the base-k number of its path."""

    branching: int
    seed: int
    feature_spec: str
    """Spec of the features it was fitted on."""
    level_centroids: tuple[NDArray[np.float32], ...]
    """Level l: float32 [k ** (l + 1), D]; rows of absent children are zero."""
    level_counts: tuple[NDArray[np.int64], ...]
    """Level l: training rows of every child; a child without rows is absent and never assigned."""
    level_inertia: NDArray[np.float64]
    """float64 [d]: summed squared distance of the training rows to their centroid, a level."""

    def __post_init__(self) -> None:
        for level, (centroids, counts) in enumerate(zip(self.level_centroids, self.level_counts, strict=True)):
            nodes = self.branching ** (level + 1)
            if centroids.shape != (nodes, self.dimension) or centroids.dtype != np.float32:
                raise InputError(
                    f"level {level} is {centroids.dtype} {centroids.shape}, not float32 of {nodes} centroids"
                )
            if counts.shape != (nodes,) or counts.dtype != np.int64:
                raise InputError(f"counts of level {level} are {counts.dtype} {counts.shape}, not int64 [{nodes}]")
        if self.level_inertia.shape != (self.depth,):
            raise InputError(f"{self.level_inertia.shape} inertias for {self.depth} levels")

    @property
    def depth(self) -> int:
        """Levels d."""
        return len(self.level_centroids)

    @property
    def dimension(self) -> int:
        """Columns D of a feature vector."""
        return int(self.level_centroids[0].shape[1])

    @property
    def centroids(self) -> NDArray[np.float32]:
        """Means of the leaves, float32 [k ** d, D]; absent leaves are zero."""
        return self.level_centroids[-1]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which leaves exist, bool [k ** d]."""
        return self.level_counts[-1] > 0

    @cached_property
    def _encoders(self) -> dict[str, Encoder]:
        return {}

    def _encoder(self, device: str) -> Encoder:
        if device not in self._encoders:
            present = tuple(counts > 0 for counts in self.level_counts)
            self._encoders[device] = Encoder(self.level_centroids, present, branching=self.branching, device=device)
        return self._encoders[device]

    def encode(self, vectors: NDArray[np.float32], *, device: str = "cpu") -> NDArray[np.int32]:
        """Leaf int32 [N] of every row of float32 [N, D] by greedy descent. A row's leaf depends on that row alone.

        InputError when the dimension is not the codebook's or a value is not finite.
        """
        return self._encoder(device).greedy(self._checked(vectors))

    def encode_flat(self, vectors: NDArray[np.float32], *, device: str = "cpu") -> NDArray[np.int32]:
        """Nearest of all leaves, int32 [N]; errors as in `encode`."""
        return self._encoder(device).flat(self._checked(vectors))

    def disagreement(self, vectors: NDArray[np.float32], *, device: str = "cpu") -> float:
        """Share of rows whose greedy leaf is not the nearest one."""
        if len(vectors) == 0:
            return 0.0
        return float(np.mean(self.encode(vectors, device=device) != self.encode_flat(vectors, device=device)))

    def _checked(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise InputError(
                f"features of shape {vectors.shape} do not fit a codebook of {self.dimension} dimensions"
                f" (features {self.feature_spec!r}); encode with the features it was fitted on"
            )
        if vectors.dtype != np.float32:
            raise InputError(f"features are {vectors.dtype}; the codebook takes float32")
        return vectors

    def to_bytes(self) -> bytes:
        """One safetensors file; equal codebooks give equal bytes."""
        tensors: dict[str, NDArray[np.generic]] = {"inertia": self.level_inertia}
        for level, (centroids, counts) in enumerate(zip(self.level_centroids, self.level_counts, strict=True)):
            tensors[f"level.{level}.centroids"] = np.ascontiguousarray(centroids)
            tensors[f"level.{level}.counts"] = counts
        about = {
            "format": _FORMAT,
            "branching": self.branching,
            "depth": self.depth,
            "dimension": self.dimension,
            "feature_spec": self.feature_spec,
            "seed": self.seed,
        }
        return bytes(save(tensors, metadata={"codebook": json.dumps(about, sort_keys=True)}))

    def save(self, path: Path) -> None:
        """Write `to_bytes` to a local file."""
        path.write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> Codebook:
        """Read what `save` wrote; InputError when the file is something else."""
        try:
            with safe_open(path, framework="numpy") as file:
                about = json.loads((file.metadata() or {}).get("codebook", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (SafetensorError, json.JSONDecodeError) as error:
            raise InputError(
                f"{path.name} is no readable safetensors file ({error}); fit the codebook again"
            ) from error
        if about.get("format") != _FORMAT:
            raise InputError(
                f"{path.name} is of format {about.get('format')!r}, not {_FORMAT!r}; fit the codebook again"
            )
        levels = range(about["depth"])
        return cls(
            branching=about["branching"],
            seed=about["seed"],
            feature_spec=about["feature_spec"],
            level_centroids=tuple(tensors[f"level.{level}.centroids"] for level in levels),
            level_counts=tuple(tensors[f"level.{level}.counts"] for level in levels),
            level_inertia=tensors["inertia"],
        )
