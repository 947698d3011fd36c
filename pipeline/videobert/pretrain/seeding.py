"""Random streams that follow from a key and from nothing else."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["generator", "seed_of"]


def seed_of(*key: str | int, bits: int = 128) -> int:
    """A whole number below 2^bits from a key, the same on every machine and Python version."""
    text = "/".join(str(part) for part in key)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=bits // 8).digest(), "little")


def generator(*key: str | int) -> np.random.Generator:
    """A numpy generator of its own for a key."""
    return np.random.Generator(np.random.Philox(key=seed_of(*key)))
