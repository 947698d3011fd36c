"""Any image or video encoder that `transformers.AutoModel` knows, by Hugging Face id or local directory.

No family is named here. The model's own method for pixels is called (`pixel_method`) on frames in the geometry of its
own processor (`preprocessing`), and its own pooled vector is taken (`pooling`). Video models see one stack of frames;
image models see a few, whose vectors are averaged. docs/encoders.md says what that comes to for each family.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders.base import EncoderIdentity, digest_files, slug
from videobert.features.encoders.loader_version import loader_version
from videobert.features.encoders.model_files import LoadedModel, load_model, model_files, model_folder
from videobert.features.encoders.pixel_call import PixelCall
from videobert.features.encoders.pixel_method import PixelMethod, find_pixel_method, first_value
from videobert.features.encoders.preprocessing import read_preprocessing
from videobert.features.encoders.torch_device import autocast, in_batches, single_thread
from videobert.runtime.device import pick_device
from videobert.video.clips import spread_ticks
from videobert.video.request import ClipFrames

__all__ = ["HuggingFaceEncoder", "identity"]

_IMAGE_FRAMES = 4
_VIDEO_FRAMES = 16
"""Of a video model whose configuration names no number; PE-AV's checkpoints are made for 16 or for all."""


def identity(name: str) -> EncoderIdentity:
    """Hash of the model's configuration and weights. Raises `InputError` when they cannot be found."""
    folder = model_folder(name)
    return EncoderIdentity(
        label=slug(name), digest=digest_files(model_files(folder), version=loader_version(folder))
    )  # fmt: skip


class HuggingFaceEncoder:
    """A frozen vision model from transformers."""

    def __init__(self, name: str, config: FeaturesConfig, *, device: str) -> None:
        folder = model_folder(name)
        self.identity = identity(name)
        loaded = load_model(folder, name)
        self.method = find_pixel_method(loaded.model, name)
        in_patches = self.method.takes == "patches"
        self.preprocessing = read_preprocessing(folder, loaded.model.config, name, in_patches=in_patches)
        self._device = pick_device(device)
        self._model = loaded.model.to(self._device)
        self._call = PixelCall(self.method, self.preprocessing, self._device)
        frames = _frames(config, self.method)
        self.request = self.preprocessing.request(spread_ticks(frames, config.ticks_per_clip))
        self.batch_clips = config.batch_clips if self._device.type == "cuda" else 1
        self._autocast = config.autocast
        self.dimension = self._try_out(loaded, name)

    @property
    def pooling(self) -> str:
        """How the vector is taken from the model's output."""
        return self._call.how

    def encode(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        """Shape [N, D]."""
        arrays = [self._call.arrays(clip) for clip in clips]
        with single_thread(self._device), torch.inference_mode(), autocast(self._device, self._autocast):
            return in_batches(arrays, self._call, size=self.batch_clips, device=self._device)

    def _try_out(self, loaded: LoadedModel, name: str) -> int:
        """Length of a vector. Raises `InputError` when the model fails on a black clip, or weights of it are missing.

        Weights that are missing in parts that no clip goes through, such as a text tower, do not matter.
        A pooler that is missing was never trained, as in classifiers: its output is left alone.
        """
        side = self.preprocessing.squeezed_side or self.preprocessing.size
        empty = np.zeros((len(self.request.frame_ticks), side, side, 3), np.uint8)
        black = ClipFrames(index=0, rgb=empty, gray=None)
        parts = dict(self._model.named_modules())
        lacking = {key: parts.get(key.rpartition(".")[0], self._model) for key in loaded.missing}
        passed: set[int] = set()
        hooks = [m.register_forward_pre_hook(lambda module, _: passed.add(id(module))) for m in set(lacking.values())]
        try:
            shape = self.encode([black]).shape
        except InputError:
            raise
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # as in load_model
            text = " ".join(str(error).split())[:300]
            raise InputError(
                f"encoder='hf:{name}' gives no vector for {len(empty)} frames of {self.preprocessing.geometry} by "
                f"{self.method} ({type(error).__name__}: {text}); leave --features.frames-per-clip unset, save its "
                "own processor next to it, or take an encoder of docs/encoders.md"
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
        met = [key for key, part in lacking.items() if id(part) in passed]
        if untrained := sorted(key for key in met if "pooler" not in key):
            raise InputError(
                f"encoder='hf:{name}' lacks the weights {', '.join(untrained[:3])}; "
                "save the whole model with `save_pretrained`"
            )
        if met:
            self._call.use_pooler = False
            shape = self.encode([black]).shape
        return int(shape[1])


def _frames(config: FeaturesConfig, method: PixelMethod) -> int:
    """Most video models take exactly as many frames as they were trained on.

    Those that call it `frames_per_clip` (V-JEPA 2) take any number of whole tubelets, so no more than there are ticks.
    """
    if config.frames_per_clip:
        return config.frames_per_clip
    if method.takes != "clips":
        return _IMAGE_FRAMES
    if exactly := first_value(method.owner, "num_frames"):
        return int(exactly)
    if most := first_value(method.owner, "frames_per_clip"):
        tubelet = int(first_value(method.owner, "tubelet_size") or 1)
        return max(1, min(int(most), config.ticks_per_clip) // tubelet) * tubelet
    return _VIDEO_FRAMES
