"""Every file of an exported model, with what its manifest has to tell a runtime of it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from videobert.applications.export.network import export_head, export_text, export_video
from videobert.codebook.load import load_codebook, load_components
from videobert.codebook.quantiser import Quantiser
from videobert.query.model import OpenModel, has_read_text
from videobert.runtime.manifest import Manifest, load_manifest, specs_of
from videobert.runtime.storage import Store
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.load import load_tuned

__all__ = ["ExportPart", "codebook_part", "export_parts", "layout_of"]

_LOG = logging.getLogger("videobert")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPart:
    """One file."""

    name: str
    """`text`, `video`, `tokenizer`, `codebook`, `encoder`, or the spec of a fine-tuned model."""
    data: bytes
    facts: dict[str, Any]
    """How it is fed and what comes out; empty where the layout of the model tells all."""


def export_parts(opened: OpenModel, *, int8: bool) -> Iterator[ExportPart]:
    """Towers, tokenizer, heads that were fine-tuned from it, codebook, and the packaged encoder where it is its own."""
    for name, export in (("text", export_text), ("video", export_video)):
        data = export(opened.model)
        yield ExportPart(name=name, data=_in_int8(data) if int8 else data, facts={})
    yield ExportPart(name="tokenizer", data=opened.tokenizer.to_str().encode(), facts={})
    for spec in specs_of(opened.store, "finetune"):
        tuned = load_manifest(opened.store, "finetune", spec, "")
        if tuned is None or tuned.facts["model_spec"] != opened.manifest.spec:
            continue
        network, settings = load_tuned(opened.store, tuned, device="cpu")
        if not isinstance(network, VideoBertForVideoClassification) or not network.is_plain:
            _LOG.info("export: %s stays behind; only classifiers of the states of one sequence are exported", spec)
            continue
        data = export_head(network)
        facts = {
            "task": tuned.facts["task"], "labels": list(network.labels), "problem_type": network.problem_type,
            "unit": list(network.unit), "reads": settings["reads"],
        }  # fmt: skip
        yield ExportPart(name=spec, data=_in_int8(data) if int8 else data, facts=facts)
    if codebook := load_manifest(opened.store, "codebook", opened.manifest.facts["codebook_spec"], ""):
        yield codebook_part(opened.store, codebook)
    yield from _encoder(opened)


def codebook_part(store: Store, codebook: Manifest) -> ExportPart:
    """What `Quantiser.from_bytes` reads. Its axes are whitened already, and moments are about captions alone."""
    centroids, axes_DC = load_codebook(store, codebook), load_components(store, codebook)
    quantiser = Quantiser.of(centroids, axes_DC, flat=codebook.config["assignment"] == "flat")
    facts = {
        "feature_spec": centroids.feature_spec, "dimension": centroids.dimension, "leaves": len(centroids.centroids),
        "assignment": codebook.config["assignment"], "components": 0 if axes_DC is None else axes_DC.shape[1],
    }  # fmt: skip
    return ExportPart(name="codebook", data=quantiser.to_bytes(), facts=facts)


def _encoder(opened: OpenModel) -> Iterator[ExportPart]:
    """The packaged encoder, whose graph is kept in floats: whole numbers of 8 bits move its vectors too far."""
    from videobert.features.config import FeaturesConfig
    from videobert.features.encoders.packaged import exported_graph, identity
    from videobert.runtime.spec import from_output_config

    spec = opened.manifest.facts["feature_spec"]
    batches = [s.batch for s in opened.manifest.sources if s.stage == "tokens"]
    features = next((m for batch in batches if (m := load_manifest(opened.store, "features", spec, batch))), None)
    if features is None or features.config["encoder"] != identity().digest:
        return
    config = from_output_config(FeaturesConfig, features.config | {"encoder": "packaged"})
    request, data = exported_graph(config)
    yield ExportPart(name="encoder", data=data, facts={"request": asdict(request), "options": asdict(config.decoding)})


def layout_of(opened: OpenModel) -> dict[str, object]:
    """What a runtime has to know to lay sequences out as the model does."""
    model = opened.model
    return {
        "vocabulary": model.vocabulary.to_json(), "max_length": model.max_length,
        "retrieval_dim": model.retrieval_text.out_features,
        "has_read_text": has_read_text(opened.store, opened.manifest), **asdict(model.reading),
    }  # fmt: skip


def _in_int8(data: bytes) -> bytes:
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        whole, small = Path(folder) / "whole.onnx", Path(folder) / "small.onnx"
        whole.write_bytes(data)
        logging.disable(logging.WARNING)  # it recommends to infer shapes first, which changes nothing here
        try:
            quantize_dynamic(whole, small)
        finally:
            logging.disable(logging.NOTSET)
        return small.read_bytes()
