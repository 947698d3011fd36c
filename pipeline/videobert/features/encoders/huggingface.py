"""Any image or video encoder that `transformers.AutoModel` knows, by Hugging Face id or local directory.

Image encoders (ViT, CLIP, SigLIP 2, DINO) see a few frames, whose vectors are averaged; video encoders (V-JEPA 2,
VideoMAE) see one stack of frames, whose patch vectors are averaged (VideoBERT pools over time and space alike).
Weights are read as safetensors only, and no code of the model's repository is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders.base import EncoderIdentity, digest_files, slug
from videobert.features.encoders.preprocessing import PREPROCESSOR_FILES, read_preprocessing
from videobert.features.encoders.torch_device import autocast, in_batches, single_thread
from videobert.runtime.device import pick_device
from videobert.video.clips import spread_ticks
from videobert.video.request import ClipFrames, ClipRequest

__all__ = ["HuggingFaceEncoder", "identity"]

_VERSION = "huggingface-1"
_IMAGE_FRAMES = 4
_PATTERNS = ("*.safetensors", "*.safetensors.index.json", "config.json", *PREPROCESSOR_FILES)


def identity(name: str) -> EncoderIdentity:
    """Hash of the model's configuration and weights. Raises `InputError` when they cannot be found."""
    folder = _folder(name)
    files = sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)})
    return EncoderIdentity(label=slug(name), digest=digest_files(files, version=_VERSION))


def _folder(name: str) -> Path:
    """The local directory, or the cached snapshot of an id (fetched if need be, and HF_HUB_OFFLINE is unset)."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if name.count("/") > 1 or name.startswith((".", "~", "/")):
            raise InputError(f"encoder='hf:{name}' is no directory; give a local directory or a Hugging Face id")
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(name, allow_patterns=list(_PATTERNS)))
        except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise InputError(
                f"encoder='hf:{name}' is neither a local directory nor a model that can be fetched "
                f"({type(error).__name__}); check the name, log in, or download it first"
            ) from error
    if not (folder / "config.json").is_file():
        raise InputError(f"encoder='hf:{name}' has no config.json; give the directory that `save_pretrained` wrote")
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"encoder='hf:{name}' has no *.safetensors weights, and pickled ones are never loaded; "
            "convert them with `save_pretrained`"
        )
    return folder


class HuggingFaceEncoder:
    """A frozen vision model from transformers."""

    def __init__(self, name: str, config: FeaturesConfig, *, device: str) -> None:
        folder = _folder(name)
        self.identity = identity(name)
        self._model, self._has_pooler = _load(folder, name)
        self._device = pick_device(device)
        self._model.to(self._device, torch.float32)
        vision = self._model.config
        self._model_type = str(vision.model_type)
        self._preprocessing = read_preprocessing(folder, vision, name)
        native = next((v for k in ("num_frames", "frames_per_clip") if (v := getattr(vision, k, None))), None)
        self._is_video = native is not None
        self.request = ClipRequest(
            frame_ticks=spread_ticks(_frames(config, native, self._model_type), config.ticks_per_clip),
            size=self._preprocessing.size,
        )
        self.batch_clips = config.batch_clips if self._device.type == "cuda" else 1
        self._autocast = config.autocast
        empty = np.zeros((len(self.request.frame_ticks), self.request.size, self.request.size, 3), np.uint8)
        self.dimension = self.encode([ClipFrames(index=0, rgb=empty, gray=None)]).shape[1]

    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        """Shape [N, hidden size]."""
        with single_thread(self._device), torch.inference_mode(), autocast(self._device, self._autocast):
            return in_batches(
                [(clip.rgb,) for clip in clips], self._forward, size=self.batch_clips, device=self._device
            )

    def _forward(self, pixels_BFHWC: Tensor) -> Tensor:
        """uint8 [B, F, S, S, 3] -> [B, D]."""
        prep = self._preprocessing
        mean, std = (torch.tensor(v, device=pixels_BFHWC.device).view(3, 1, 1) for v in (prep.mean, prep.std))
        scaled = (pixels_BFHWC.permute(0, 1, 4, 2, 3).float() / 255 - mean) / std
        if not self._is_video:
            frames = self._model(pixel_values=scaled.flatten(0, 1))
            pooled: Tensor | None = getattr(frames, "pooler_output", None) if self._has_pooler else None
            vectors = _hidden(frames).mean(1) if pooled is None else pooled.flatten(1)
            return vectors.reshape(*scaled.shape[:2], -1).mean(1)
        if self._model_type == "vjepa2":
            return _hidden(self._model(pixel_values_videos=scaled, skip_predictor=True)).mean(1)
        return _hidden(self._model(pixel_values=scaled)).mean(1)


def _load(folder: Path, name: str) -> tuple[Any, bool]:
    """The picture tower in evaluation mode, and whether its pooler was trained.

    Checkpoints of classifiers come without a pooler, and transformers then draws a random one: such output is not used.
    """
    from transformers import AutoModel

    model, info = AutoModel.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True
    )
    tower = getattr(model, "vision_model", model)
    missing = [key for key in info["missing_keys"] if tower is model or key.startswith("vision_model.")]
    untrained = [key for key in missing if "pooler" not in key]
    if untrained:
        raise InputError(
            f"encoder='hf:{name}' lacks the weights {', '.join(sorted(untrained)[:3])}; "
            "save the whole model with `save_pretrained`"
        )
    return tower.eval().requires_grad_(False), not missing


def _frames(config: FeaturesConfig, native: int | None, model_type: str) -> int:
    """VideoMAE takes exactly as many frames as it was trained on; V-JEPA 2 any even number, so no more than ticks."""
    if config.frames_per_clip:
        return config.frames_per_clip
    if native is None:
        return _IMAGE_FRAMES
    if model_type == "vjepa2":
        return min(native, config.ticks_per_clip) // 2 * 2
    return native


def _hidden(output: Any) -> Tensor:
    hidden: Tensor = output.last_hidden_state
    return hidden.flatten(2).mT if hidden.ndim == 4 else hidden
