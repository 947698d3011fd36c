"""The text tower of a joint model (CLIP, SigLIP 2, X-CLIP, VideoPrism LvT): texts in the space of its clip vectors.

With it a corpus is searched by text as soon as its features are there, before anything is trained: the clips whose
vectors have the greatest cosine with that of the query.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.features.encoders.model_files import VOCABULARY_FILES, load_model, model_folder
from videobert.features.encoders.pixel_method import find_pixel_method
from videobert.features.encoders.pooling import pool
from videobert.features.encoders.torch_device import single_thread
from videobert.runtime.device import pick_device

__all__ = ["TextTower"]

_PADDED = 128
"""Towers that read no more tokens were trained on texts filled up to their length."""
_WITHOUT_MASK = frozenset({"siglip_text_model", "siglip2_text_model"})
"""Trained without a mask: what fills a text up is read too, and the vector is that of the last token."""


class TextTower:
    """A joint model, asked for texts only."""

    def __init__(self, name: str, *, device: str) -> None:
        """Raises `InputError` when the model has no text tower, its weights are missing, or there is no tokenizer."""
        folder = model_folder(name)
        loaded = load_model(folder, name)
        method = find_pixel_method(loaded.model, name)
        if method.text_method is None:
            raise InputError(
                f"encoder='hf:{name}' has no text tower ({method} gives vectors that no text has); search with a "
                "trained model, or take a joint encoder of docs/encoders.md"
            )
        self._tokenizer = _tokenizer(folder, name)
        self._device = pick_device(device)
        self._model = loaded.model.to(self._device)
        self._method = getattr(self._model, method.text_method)
        config = getattr(self._model.config, "text_config", self._model.config)
        masked = config.model_type not in _WITHOUT_MASK
        self._arguments = set(inspect.signature(self._method).parameters) - (set() if masked else {"attention_mask"})
        self._padding = _padding(self._model, config, self._tokenizer)
        self.dimension = self._try_out(loaded.missing, name)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One vector per text, shape [N, D], to be compared with clip vectors by cosine; longer texts are cut off.

        A text's vector depends on that text alone.
        """
        return np.stack([self._one(text) for text in texts]) if texts else np.zeros((0, self.dimension), np.float32)

    def _one(self, text: str) -> NDArray[np.float32]:
        tokens = self._tokenizer(text, return_tensors="pt", truncation=True, **self._padding)
        inputs = {key: value.to(self._device) for key, value in tokens.items() if key in self._arguments}
        with single_thread(self._device), torch.inference_mode():
            vectors = pool(self._method(**inputs), self._model, use_pooler=True).vectors_ND
        row: NDArray[np.float32] = vectors[0].float().cpu().numpy()
        return row

    def _try_out(self, missing: Sequence[str], name: str) -> int:
        """Length of a vector. Raises `InputError` when the tower cannot read a word, or was never trained."""
        untrained = [key for key in missing if key.startswith("text")]
        if untrained:
            raise InputError(
                f"encoder='hf:{name}' lacks the weights {', '.join(untrained[:3])} of its text tower; "
                "save the whole model with `save_pretrained`"
            )
        try:
            return len(self._one("a"))
        except Exception as error:  # as in load_model
            text = " ".join(str(error).split())[:300]
            raise InputError(
                f"encoder='hf:{name}' gives no vector for a text ({type(error).__name__}: {text}); "
                "save its own tokenizer next to it"
            ) from error


def _tokenizer(folder: Path, name: str) -> Any:
    from transformers import AutoTokenizer

    # Without a file of words transformers makes a tokenizer that knows none, and says nothing.
    if not any((folder / file).is_file() for file in VOCABULARY_FILES):
        raise InputError(f"encoder='hf:{name}' has no tokenizer for its text tower; save its tokenizer there")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as in load_model
        raise InputError(
            f"encoder='hf:{name}' has no tokenizer that can be read ({type(error).__name__}); save its tokenizer there"
        ) from error


def _padding(model: Any, config: Any, tokenizer: Any) -> dict[str, Any]:
    """How the family's processor fills up texts, else to the tower's length where that is short."""
    import transformers
    from transformers.models.auto import processing_auto

    names: dict[str, Any] = vars(processing_auto)["PROCESSOR_MAPPING_NAMES"]
    processor = getattr(transformers, str(names.get(model.config.model_type)), None)
    own = getattr(processor, "text_kwargs", None) or {}
    positions = getattr(config, "max_position_embeddings", None) or 512
    length = int(min(positions, own.get("max_length") or tokenizer.model_max_length))
    return {"padding": own.get("padding", "max_length" if length <= _PADDED else False), "max_length": length}
