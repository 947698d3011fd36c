"""An exported model, run by onnxruntime: texts and spans of visual tokens as vectors, without torch.

    exports/<model spec>/text-<digest>.onnx, video-<digest>.onnx, tokenizer-<digest>.json
    exports/<model spec>/_manifest.json    written last: hashes, and how sequences are laid out

`videobert export` writes it, there or into any folder. Needs onnxruntime and, for texts, tokenizers: the extra `text`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.data import layout_footage, residual_rows
from videobert.runtime.manifest import Manifest
from videobert.runtime.storage import Store, sha256
from videobert.tokens.footage import Footage

__all__ = ["MANIFEST", "ExportedModel", "export_folder", "find_export", "open_export"]

MANIFEST = "_manifest.json"


def export_folder(model_spec: str) -> str:
    """Folder of an exported model below its root."""
    return f"exports/{model_spec}"


def find_export(store: Store, model_spec: str) -> ExportedModel | None:
    """The exported model of a root, or None where there is none, or nothing to run it with."""
    if any(importlib.util.find_spec(name) is None for name in ("onnxruntime", "tokenizers")):
        return None
    data = store.read_or_none(f"{export_folder(model_spec)}/{MANIFEST}")
    return None if data is None else ExportedModel(store, Manifest.from_bytes(data))


def open_export(folder: str) -> ExportedModel:
    """What `videobert export --out FOLDER` wrote: a path or a URL. Raises InputError where nothing is."""
    store = Store(folder)
    data = store.read_or_none(MANIFEST)
    if data is None:
        raise InputError(f"{folder} holds no exported model; write one with `videobert export --out {folder}`")
    return ExportedModel(store, Manifest.from_bytes(data))


class ExportedModel:
    """Loads what is asked for when it is asked for. One sequence a call and one thread: a vector is always the same."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store, self.manifest = store, manifest
        self._layout: dict[str, Any] = manifest.facts["layout"]
        self._vocabulary = Vocabulary(**self._layout["vocabulary"])

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [B, R]. Raises InputError for a text without words, or with too many."""
        return self._stacked([self._of_text(text) for text in texts])

    def encode_video(self, spans: Sequence[Footage]) -> NDArray[np.float32]:
        """Unit vectors [B, R] of spans of visual tokens, which are cut where they exceed the model's length."""
        return self._stacked([self._of_span(span) for span in spans])

    def _of_text(self, text: str) -> NDArray[np.float32]:
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            raise InputError(f"the query {text!r} holds no words; describe what to find, such as 'stir the egg'")
        ids_1L = np.array([[self._vocabulary.cls, *ids, self._vocabulary.sep]], np.int64)
        if ids_1L.shape[1] > self._layout["max_length"]:
            raise InputError(
                f"a text of {ids_1L.shape[1]} tokens exceeds the model's {self._layout['max_length']}: shorten it"
            )
        return self._run(self._text, {"ids": ids_1L, "keep": np.ones(ids_1L.shape, np.float32)})

    def _of_span(self, span: Footage) -> NDArray[np.float32]:
        span = span.fitted(max(0, self._layout["max_length"] - 3 - self._layout["context_clips"]))
        ids_L, types_L, positions_L, clips = layout_footage(None, span, vocabulary=self._vocabulary)
        own_L = np.ones(len(ids_L), np.float32)
        if self._layout["span_pooling"]:
            own_L = ((types_L == 1) & (ids_L >= self._vocabulary.first_visual)).astype(np.float32)
        inputs: dict[str, NDArray[Any]] = {
            "ids": ids_L, "types": types_L, "positions": np.arange(len(ids_L)) if positions_L is None else positions_L,
            "keep": np.ones(len(ids_L), np.float32), "pool": own_L,
        }  # fmt: skip
        if width := self._layout["components"]:
            rows_LK = residual_rows(span, len(ids_L), clips)
            inputs["residuals"] = np.zeros((len(ids_L), width)) if rows_LK is None else rows_LK
            inputs["residuals"] = inputs["residuals"].astype(np.float32)
        return self._run(self._video, {name: value[None] for name, value in inputs.items()})

    def _run(self, session: Any, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        vector_R: NDArray[np.float32] = session.run(None, inputs)[0][0]
        return vector_R

    def _stacked(self, vectors: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.stack(vectors) if vectors else np.empty((0, self._layout["retrieval_dim"]), np.float32)

    @cached_property
    def _text(self) -> Any:
        return self._session("text")

    @cached_property
    def _video(self) -> Any:
        return self._session("video")

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self._file("tokenizer").decode())

    def _session(self, name: str) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(self._file(name), options, providers=["CPUExecutionProvider"])

    def _file(self, name: str) -> bytes:
        output = next(
            output for output in self.manifest.outputs if output.path.rpartition("/")[2].startswith(f"{name}-")
        )
        data = self._store.read(output.path)
        if sha256(data) != output.sha256:
            raise InputError(f"{self._store.url(output.path)} is not what was exported; run `videobert export` again")
        return data
