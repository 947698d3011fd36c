"""`export`: a model as ONNX, to be run without torch."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videobert.application import Application
from videobert.query.exported import MANIFEST, export_folder
from videobert.query.model import OpenModel, open_model
from videobert.runtime.manifest import Manifest, Output, library_versions
from videobert.runtime.storage import Store, sha256

if TYPE_CHECKING:
    from videobert.api import Root

__all__ = ["Export", "ExportedFile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """One file of an exported model."""

    kind: str
    """`text`, `video` or `tokenizer`."""
    url: str
    sha256: str
    size_bytes: int
    model: str
    """Spec of the model."""


@dataclass(frozen=True, kw_only=True)
class Export(Application[ExportedFile]):
    """Write a model's text and video tower as ONNX: `search` then needs no torch, and answers in a second.

    videobert export --root demo

    videobert export --root demo --int8 --out device/model

    Goes below the root, where every client that searches by text takes it by default, or into another folder. Making it
    needs the extra `worker`, running it the extra `text`: onnxruntime and tokenizers.
    """

    int8: bool = False
    """Weights as whole numbers of 8 bits: a third of the size, vectors that differ in the third digit."""
    out: str = ""
    """Folder to write to, a path or a URL; empty: exports/MODEL below the root."""

    def answer(self, root: Root) -> Iterator[ExportedFile]:
        opened = open_model(Store(self.root), self.model)
        spec = opened.manifest.spec
        store, folder = (Store(self.out), "") if self.out else (opened.store, f"{export_folder(spec)}/")
        outputs = []
        for kind, data in _files(opened, int8=self.int8):
            suffix = "json" if kind == "tokenizer" else "onnx"
            path = f"{folder}{kind}-{sha256(data)[:12]}.{suffix}"
            store.write(path, data)
            outputs.append(
                Output(shard=0, input_digest="", path=path, sha256=sha256(data), size_bytes=len(data), counts={})
            )
            yield ExportedFile(kind=kind, url=store.url(path), sha256=sha256(data), size_bytes=len(data), model=spec)
        manifest = Manifest(
            stage="export", spec=spec, batch="", config={"int8": self.int8}, sources=(opened.manifest.as_source(),),
            outputs=tuple(outputs), facts={"layout": _layout(opened)}, versions=library_versions(),
        )  # fmt: skip
        store.write(f"{folder}{MANIFEST}", manifest.to_bytes())
        if folder:
            store.sweep(folder.rstrip("/"), {f"{folder}{MANIFEST}", *(output.path for output in outputs)})

    def line(self, record: ExportedFile) -> str:
        return f"{record.kind:<10} {record.size_bytes / 1e6:8.1f} MB  sha256 {record.sha256[:12]}  {record.url}"


def _files(opened: OpenModel, *, int8: bool) -> Iterator[tuple[str, bytes]]:
    from videobert.applications.export.network import export_text, export_video

    for kind, export in (("text", export_text), ("video", export_video)):
        data = export(opened.model)
        yield kind, _in_int8(data) if int8 else data
    yield "tokenizer", opened.tokenizer.to_str().encode()


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


def _layout(opened: OpenModel) -> dict[str, object]:
    """What a runtime has to know to lay sequences out as the model does."""
    model = opened.model
    return {
        "vocabulary": model.vocabulary.to_json(), "max_length": model.max_length,
        "retrieval_dim": model.retrieval_text.out_features, **asdict(model.reading),
    }  # fmt: skip
