"""The packaged network in torch: for a GPU, and to export the graph that onnxruntime runs on a CPU."""

from __future__ import annotations

import io
import os
import sys
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from videobert.features.encoders.motion import MOTION_SIZE

__all__ = ["CHANNELS", "SIZE", "PackagedNetwork", "export_onnx", "main"]

SIZE, CHANNELS, _CELLS = 224, 1280, 9
_LEVELS_PER_FLOW = 200.0
"""Gray levels of the motion picture for a flow of one pixel a tick; fixed, so that weak motion stays weak."""


class PackagedNetwork(nn.Module):
    """uint8 frames [B, F, S, S, 3] and motion pictures [B, 27, 27, 3] to float32 [B, 2560]."""

    order: Tensor
    sign: Tensor

    def __init__(self, weights: Path) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        self.network: Any = EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(torch.load(weights, weights_only=True))
        generator = torch.Generator().manual_seed(1904_01766)
        order = [torch.randperm(CHANNELS, generator=generator) for _ in range(_CELLS)]
        self.register_buffer("order", torch.stack(order))
        sign = torch.randint(0, 2, (_CELLS, CHANNELS), generator=generator) * 2 - 1
        self.register_buffer("sign", sign.float())
        self.eval().requires_grad_(False)

    def forward(self, frames: Tensor, motion: Tensor) -> Tensor:
        batch, count = frames.shape[:2]
        colour = frames.flatten(0, 1).permute(0, 3, 1, 2).float()
        flow = (motion.permute(0, 3, 1, 2) * _LEVELS_PER_FLOW).clamp(0, 255)
        flow = nn.functional.interpolate(flow, (SIZE, SIZE), mode="bilinear", align_corners=False)
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


def export_onnx(weights: Path, frames: int) -> bytes:
    """The graph for one clip of `frames` frames."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        example = (
            torch.zeros(1, frames, SIZE, SIZE, 3, dtype=torch.uint8),
            torch.zeros(1, MOTION_SIZE, MOTION_SIZE, 3),
        )
        torch.onnx.export(
            PackagedNetwork(weights),
            example,
            cast(Any, buffer),  # takes file objects, as its documentation tells
            dynamo=False,
            input_names=["frames", "motion"],
            output_names=["vectors"],
            opset_version=17,
        )
    return buffer.getvalue()


def main() -> None:
    """`python -m videobert.features.encoders.packaged_network WEIGHTS FRAMES TARGET`: export, whole or not at all."""
    weights, frames, target = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(export_onnx(weights, frames))
    temporary.replace(target)


if __name__ == "__main__":
    main()
