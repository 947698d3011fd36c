"""An encoder that lives elsewhere, such as on a node with GPUs, for workers that only decode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videobert.features.config import FeaturesConfig
from videobert.features.encoders import Encoder, EncoderIdentity, load_encoder
from videobert.runtime.executor import Service
from videobert.video.request import ClipFrames, ClipRequest

__all__ = ["EncoderServer", "ServedEncoder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFacts:
    """All of an encoder but its weights."""

    identity: EncoderIdentity
    dimension: int
    request: ClipRequest
    batch_clips: int


class EncoderServer:
    """Loads the encoder once, for all that ask."""

    def __init__(self, config: FeaturesConfig) -> None:
        self._encoder: Encoder = load_encoder(config)

    def facts(self) -> EncoderFacts:
        """What one must know to decode for it."""
        e = self._encoder
        return EncoderFacts(
            identity=e.identity, dimension=e.dimension, request=e.request, batch_clips=e.batch_clips
        )  # fmt: skip

    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        """Shape [N, D]."""
        return self._encoder.encode(clips)


class ServedEncoder:
    """An `Encoder` that asks a service of `EncoderServer`.

    A question is one batch, and its worker waits for the answer: with the batches decoded ahead, that bounds the frames
    that are under way.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        facts: EncoderFacts = service("facts")
        self.identity, self.dimension = facts.identity, facts.dimension
        self.request, self.batch_clips = facts.request, facts.batch_clips

    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        """Shape [N, D]."""
        vectors: NDArray[np.float32] = self._service("encode", list(clips))
        return vectors
