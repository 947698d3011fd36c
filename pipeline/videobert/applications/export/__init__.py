"""`export`: a model as ONNX, to be run without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videobert.application import Application
from videobert.query.exported import MANIFEST, export_folder
from videobert.query.model import open_model
from videobert.runtime.manifest import Manifest, Output, library_versions
from videobert.runtime.storage import Store, sha256

if TYPE_CHECKING:
    from videobert.api import Root

__all__ = ["Export", "ExportedFile"]

SUFFIXES = {"text": "onnx", "video": "onnx", "tokenizer": "json", "codebook": "npz", "encoder": "onnx"}
"""Of the files by their names; heads are ONNX too, and called as the model that was fine-tuned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """One file of an exported model."""

    kind: str
    """`text`, `video`, `tokenizer`, `head`, `codebook` or `encoder`."""
    url: str
    sha256: str
    size_bytes: int
    model: str
    """Spec of the model."""


@dataclass(frozen=True, kw_only=True)
class Export(Application[ExportedFile]):
    """Write a model, its fine-tuned heads, codebook and encoder, to be run without torch.

    videobert export --root demo

    videobert export --root demo --int8 --out device/model

    Networks are ONNX, the codebook arrays for numpy: from a clip's pixels to a segment's vector. Goes below the root,
    where every client that searches by text takes it by default, or into another folder. Making it needs the extra
    `worker`, running it the base installation.
    """

    int8: bool = False
    """Weights as whole numbers of 8 bits: a third of the size, vectors that differ in the third digit. Not those of the
    codebook and the encoder, by which a token would become another."""
    out: str = ""
    """Folder to write to, a path or a URL; empty: exports/MODEL below the root."""

    def answer(self, root: Root) -> Iterator[ExportedFile]:
        opened = open_model(Store(self.root), self.model)
        from videobert.applications.export.parts import export_parts, layout_of

        spec = opened.manifest.spec
        store, folder = (Store(self.out), "") if self.out else (opened.store, f"{export_folder(spec)}/")
        outputs, parts = [], {}
        for part in export_parts(opened, int8=self.int8):
            kind, digest = part.name if part.name in SUFFIXES else "head", sha256(part.data)
            path, size = f"{folder}{part.name}-{digest[:12]}.{SUFFIXES.get(kind, 'onnx')}", len(part.data)
            store.write(path, part.data)
            outputs.append(Output(shard=0, input_digest="", path=path, sha256=digest, size_bytes=size, counts={}))
            if part.facts:
                parts[part.name] = part.facts
            yield ExportedFile(kind=kind, url=store.url(path), sha256=digest, size_bytes=size, model=spec)
        facts = {"layout": layout_of(opened)} | ({"parts": parts} if parts else {})
        manifest = Manifest(
            stage="export", spec=spec, batch="", config={"int8": self.int8}, sources=(opened.manifest.as_source(),),
            outputs=tuple(outputs), facts=facts, versions=library_versions(),
        )  # fmt: skip
        store.write(f"{folder}{MANIFEST}", manifest.to_bytes())
        if folder:
            store.sweep(folder.rstrip("/"), {f"{folder}{MANIFEST}", *(output.path for output in outputs)})

    def line(self, record: ExportedFile) -> str:
        return f"{record.kind:<10} {record.size_bytes / 1e6:8.1f} MB  sha256 {record.sha256[:12]}  {record.url}"
