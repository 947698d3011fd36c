"""An exported model, run by onnxruntime and numpy: texts and spans as vectors, answers, clips as tokens, without torch.

    exports/<model spec>/text-<digest>.onnx, video-<digest>.onnx, tokenizer-<digest>.json, encoder-<digest>.onnx
    exports/<model spec>/<spec of a fine-tuned model>-<digest>.onnx, codebook-<digest>.npz
    exports/<model spec>/_manifest.json    written last: hashes, and how sequences are laid out

`videobert export` writes it, there or into any folder. Needs the base installation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videobert.codebook.quantiser import Quantiser
from videobert.errors import InputError
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.data import layout_footage, residual_rows
from videobert.query.model import without_text
from videobert.runtime.manifest import Manifest
from videobert.runtime.storage import Store, sha256
from videobert.tasks.layout import laid_out_in
from videobert.tokens.footage import Footage
from videobert.video.request import ClipFrames

__all__ = ["MANIFEST", "ExportedModel", "export_folder", "find_export", "open_export"]

MANIFEST = "_manifest.json"


def export_folder(model_spec: str) -> str:
    """Folder of an exported model below its root."""
    return f"exports/{model_spec}"


def find_export(store: Store, model_spec: str) -> ExportedModel | None:
    """The exported model of a root, or None where there is none."""
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
        self._heads: dict[str, Any] = {}

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [B, R]. Raises InputError for a text without words, or with too many."""
        return self._stacked([self._of_text(text) for text in texts])

    def encode_video(self, spans: Sequence[Footage]) -> NDArray[np.float32]:
        """Unit vectors [B, R] of spans of visual tokens, which are cut where they exceed the model's length."""
        return self._stacked([self._of_span(span) for span in spans])

    @property
    def heads(self) -> dict[str, dict[str, Any]]:
        """Spec of each fine-tuned classifier that was exported -> its task, labels, problem type and what it reads."""
        parts: dict[str, dict[str, Any]] = self.manifest.facts.get("parts", {})
        return {name: facts for name, facts in parts.items() if "labels" in facts}

    def answers(self, head: str, spans: Sequence[Footage], texts: Sequence[str]) -> list[dict[str, float]]:
        """What a fine-tuned classifier says: every label with its probability, or `value`.

        A text is what is said over the span, or the question. Raises InputError for a head that was not exported.
        """
        if head not in self.heads:
            raise InputError(f"{head!r} is none of the exported heads: {', '.join(self.heads) or 'there are none'}")
        return [self._answer(head, span, text) for span, text in zip(spans, texts, strict=True)]

    def encode_clips(self, clips: Sequence[ClipFrames]) -> NDArray[np.float32]:
        """Features [N, D] of clips that were decoded as `parts["encoder"]` of the manifest tells.

        Raises InputError where the encoder is not the packaged one, the only one that is exported.
        """
        from videobert.features.encoders.motion import motion_picture

        if "encoder" not in self.manifest.facts.get("parts", {}):
            raise InputError("no encoder was exported; the model learnt from another than the packaged one")
        features = []
        for clip in clips:
            if clip.gray is None:
                raise InputError(f"clip {clip.index} has no gray frames; decode it with the request of the manifest")
            inputs: dict[str, NDArray[Any]] = {"frames": clip.rgb[None], "motion": motion_picture(clip.gray)[None]}
            features.append(self._run(self._encoder, inputs))
        return np.stack(features) if features else np.empty((0, 0), np.float32)

    def quantise(self, features_ND: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float16] | None]:
        """Visual tokens [N] of features and what quantising drops of them, [N, C], None without components.

        As the stage `tokens` gives them. Raises InputError where no codebook was exported, or for other features.
        """
        if "codebook" not in self.manifest.facts.get("parts", {}):
            raise InputError("no codebook was exported; run `videobert export` again with this version")
        return self._quantiser.quantise(features_ND)

    def _answer(self, head: str, span: Footage, text: str) -> dict[str, float]:
        facts = self.heads[head]
        reads, layout = facts["reads"], self._layout
        ids = tuple(self._tokenizer.encode(text, add_special_tokens=False).ids) if reads != "video" else ()
        row = laid_out_in(
            self._vocabulary, layout["max_length"], layout["context_clips"], ids, None if reads == "text" else span
        )
        inputs = self._inputs(*row)
        if head not in self._heads:
            self._heads[head] = self._session(head)
        logits_C = self._run(self._heads[head], inputs).astype(np.float64)
        if facts["problem_type"] == "regression":
            mean, spread = facts["unit"]
            return {"value": float(logits_C[0] * spread + mean)}
        if facts["problem_type"] == "multi_label_classification":
            shares_C = 1 / (1 + np.exp(-logits_C))
        else:
            shares_C = np.exp(logits_C - logits_C.max())
            shares_C /= shares_C.sum()
        return dict(zip(facts["labels"], shares_C.tolist(), strict=True))

    def _inputs(
        self,
        ids_L: NDArray[np.int64],
        types_L: NDArray[np.int64],
        positions_L: NDArray[np.int64] | None,
        residuals_LK: NDArray[np.floating] | None,
    ) -> dict[str, NDArray[Any]]:
        """Those that every graph over video takes, for one sequence."""
        inputs: dict[str, NDArray[Any]] = {
            "ids": ids_L, "types": types_L, "positions": np.arange(len(ids_L)) if positions_L is None else positions_L,
            "keep": np.ones(len(ids_L), np.float32),
        }  # fmt: skip
        if width := self._layout["components"]:
            rows_LK = np.zeros((len(ids_L), width)) if residuals_LK is None else residuals_LK
            inputs["residuals"] = rows_LK.astype(np.float32)
        return {name: value[None] for name, value in inputs.items()}

    def _of_text(self, text: str) -> NDArray[np.float32]:
        if not self._layout.get("has_read_text", True):  # exports of before do not tell
            raise without_text(self.manifest.spec)
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
        inputs = self._inputs(ids_L, types_L, positions_L, residual_rows(span, len(ids_L), clips))
        return self._run(self._video, inputs | {"pool": own_L[None]})

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
    def _encoder(self) -> Any:
        return self._session("encoder")

    @cached_property
    def _quantiser(self) -> Quantiser:
        return Quantiser.from_bytes(self._file("codebook"))

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
