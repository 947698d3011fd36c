"""VideoBERT's towers as ONNX graphs. B sequences, L longest, D hidden width, R retrieval width, K components."""

from __future__ import annotations

import io
import warnings
from typing import Any, cast

import torch
from torch import Tensor, nn

from videobert.model.network import VideoBert
from videobert.model.padded import PaddedNetwork, unit_mean_of
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.padded import PaddedClassifier

__all__ = ["TextTower", "VideoTower", "export_head", "export_text", "export_video"]

_OPSET = 17


class TextTower(PaddedNetwork):
    """int64 ids [B, L] with [CLS] and [SEP], float32 keep [B, L] (0 at padding) to unit vectors [B, R].

    Holds the rows of words only.
    """

    def __init__(self, model: VideoBert) -> None:
        super().__init__(model)
        self.head = model.retrieval_text
        words_VD = model.bert.embeddings.word_embeddings.weight.detach()[: model.vocabulary.text_size]
        self.words = nn.Embedding(words_VD.shape[0], words_VD.shape[1], _weight=words_VD.clone())

    def forward(self, ids_BL: Tensor, keep_BL: Tensor) -> Tensor:
        positions_BL = torch.arange(ids_BL.shape[1]).expand_as(ids_BL)
        x_BLD = self.embedded(self.words(ids_BL), torch.zeros_like(ids_BL), positions_BL)
        return unit_mean_of(self.head, self.hidden(x_BLD, keep_BL), keep_BL)


class VideoTower(PaddedNetwork):
    """What `videobert.model.scoring` lays out of a span, padded, to unit vectors [B, R].

    int64 ids, types and positions [B, L], float32 keep and pool [B, L] (1 where a state is read), and residuals
    [B, L, K] where the model reads them.
    """

    def __init__(self, model: VideoBert) -> None:
        super().__init__(model)
        self.head = model.retrieval_video
        self.rows = model.bert.embeddings.word_embeddings
        self.residual = model.residual if model.reading.components else None

    def forward(
        self, ids_BL: Tensor, types_BL: Tensor, positions_BL: Tensor, keep_BL: Tensor, pool_BL: Tensor,
        residuals_BLK: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        rows_BLD = self.rows(ids_BL)
        if self.residual is not None and residuals_BLK is not None:
            rows_BLD = rows_BLD + self.residual(residuals_BLK)
        hidden_BLD = self.hidden(self.embedded(rows_BLD, types_BL, positions_BL), keep_BL)
        return unit_mean_of(self.head, hidden_BLD, pool_BL)


def export_text(model: VideoBert) -> bytes:
    """The ONNX graph of the text tower: inputs `ids`, `keep`, output `vectors`."""
    ids_BL = torch.full((2, 4), model.vocabulary.cls)
    return _exported(TextTower(model), {"ids": ids_BL, "keep": torch.ones(2, 4)})


def export_video(model: VideoBert) -> bytes:
    """The ONNX graph of the video tower: inputs `ids`, `types`, `positions`, `keep`, `pool`, perhaps `residuals`."""
    ids_BL = torch.full((2, 4), model.vocabulary.first_visual)
    ones_BL = torch.ones(2, 4)
    inputs = {"ids": ids_BL, "types": torch.zeros_like(ids_BL), "positions": torch.arange(4).repeat(2, 1),
              "keep": ones_BL, "pool": ones_BL.clone()}  # fmt: skip
    if model.reading.components:
        inputs["residuals"] = torch.zeros(2, 4, model.reading.components)
    return _exported(VideoTower(model), inputs)


def export_head(network: VideoBertForVideoClassification) -> bytes:
    """The ONNX graph of a fine-tuned classifier with its encoder: inputs of the video tower but `pool`, to `logits`."""
    model = network.encoder
    ids_BL = torch.full((2, 4), model.vocabulary.first_visual)
    inputs = {"ids": ids_BL, "types": torch.zeros_like(ids_BL), "positions": torch.arange(4).repeat(2, 1),
              "keep": torch.ones(2, 4)}  # fmt: skip
    if model.reading.components:
        inputs["residuals"] = torch.zeros(2, 4, model.reading.components)
    return _exported(PaddedClassifier(network).eval(), inputs, output="logits")


def _exported(tower: nn.Module, inputs: dict[str, Tensor], *, output: str = "vectors") -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tower,
            tuple(inputs.values()),
            cast(Any, buffer),  # takes file objects, as its documentation tells
            dynamo=False,
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes={**{name: {0: "B", 1: "L"} for name in inputs}, output: {0: "B"}},
            opset_version=_OPSET,
        )
    return buffer.getvalue()
