"""S3D trained on Kinetics-400 as torchvision ships it: the encoder of the paper (section 4.1)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders.base import EncoderIdentity, digest_files
from videobert.features.encoders.torch_device import autocast, in_batches, single_thread
from videobert.runtime.device import pick_device
from videobert.video.clips import spread_ticks
from videobert.video.request import ClipFrames, ClipRequest

__all__ = ["S3DEncoder", "identity"]

_VERSION = "torchvision-s3d-1"
_FILE = "s3d-d76dad2f.pth"
_SIZE, _DIMENSION = 224, 1024
_MEAN, _STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


def identity() -> EncoderIdentity:
    """Hash of the weights in torch's hub cache. Raises `InputError` when torchvision or the weights are missing."""
    return EncoderIdentity(label="s3d", digest=digest_files([_weights()], version=_VERSION))


def _weights() -> Path:
    if importlib.util.find_spec("torchvision") is None:
        raise InputError("encoder='torchvision:s3d' needs torchvision; install the build that matches your torch")
    path = Path(torch.hub.get_dir()) / "checkpoints" / _FILE
    if not path.is_file():
        raise InputError(
            f"encoder='torchvision:s3d' finds no weights at {path}; fetch https://download.pytorch.org/models/{_FILE} "
            "to that place"
        )
    return path


class S3DEncoder:
    """The activations before the final linear layer, averaged over time and space: 1024 numbers."""

    def __init__(self, config: FeaturesConfig, *, device: str) -> None:
        self.identity = identity()
        self.dimension = _DIMENSION
        frames = config.frames_per_clip or config.ticks_per_clip
        self.request = ClipRequest(frame_ticks=spread_ticks(frames, config.ticks_per_clip), size=_SIZE)
        self._device = pick_device(device)
        self._layers = _network().eval().requires_grad_(False).to(self._device)
        self.batch_clips = config.batch_clips if self._device.type == "cuda" else 1
        self._autocast = config.autocast

    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        """Shape [N, 1024]."""
        with single_thread(self._device), torch.inference_mode(), autocast(self._device, self._autocast):
            return in_batches(
                [(clip.rgb,) for clip in clips], self._forward, size=self.batch_clips, device=self._device
            )

    def _forward(self, pixels_BFHWC: Tensor) -> Tensor:
        mean, std = (torch.tensor(v, device=pixels_BFHWC.device).view(3, 1, 1, 1) for v in (_MEAN, _STD))
        scaled = (pixels_BFHWC.permute(0, 4, 1, 2, 3).float() / 255 - mean) / std
        features: Tensor = self._layers(scaled)
        return features.mean((2, 3, 4))


def _network() -> Any:
    from torchvision.models.video import s3d

    network = s3d()
    network.load_state_dict(torch.load(_weights(), weights_only=True))
    return network.features
