"""What an encoder is: frozen weights that turn the frames of a clip into one vector."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videobert.video.request import ClipFrames, ClipRequest

__all__ = ["Encoder", "EncoderIdentity", "TextEncoder", "digest_files", "slug"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderIdentity:
    """Which weights, and which arithmetic around them; known without loading them."""

    label: str
    """Short and readable, lower-case letters, digits and dashes: the prefix of a feature spec."""
    digest: str
    """sha256 in hex over the files of the model and the version of the code around them."""


class Encoder(Protocol):
    """A loaded encoder. A clip's vector depends on that clip alone; on CPU the same clip gives the same bits always."""

    @property
    def identity(self) -> EncoderIdentity: ...

    @property
    def dimension(self) -> int:
        """Length D of a clip's vector."""
        ...

    @property
    def request(self) -> ClipRequest:
        """Which frames of a clip to decode, and how large."""
        ...

    @property
    def batch_clips(self) -> int:
        """Clips that it works on together: as many are decoded before it is called."""
        ...

    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        """One finite vector per clip, shape [N, D]."""
        ...


class TextEncoder(Protocol):
    """The text tower of a joint encoder."""

    @property
    def dimension(self) -> int:
        """Length D of a text's vector, the same as of a clip's."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One finite vector per text, shape [N, D], to be compared with clip vectors by cosine."""
        ...


def digest_files(paths: Iterable[Path], *, version: str) -> str:
    """sha256 over names and contents of files in the order of their names, and a version of the code that uses them."""
    total = hashlib.sha256(version.encode())
    for path in sorted(paths, key=lambda p: p.name):
        with path.open("rb") as file:
            total.update(f"\n{path.name}\n{hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return total.hexdigest()


def slug(name: str) -> str:
    """The last part of a model id or path, fit to be the prefix of a spec: `facebook/vjepa2-vitl` -> `vjepa2-vitl`."""
    last = name.rstrip("/").rsplit("/", 1)[-1].lower()
    return re.sub(r"[^a-z0-9]+", "-", last).strip("-") or "model"
