"""The trained models: what each was trained on, whether its gates hold, and its embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from videobert.admin.evaluations import find_reports
from videobert.runtime.manifest import committed_batches, load_manifest, specs_of
from videobert.runtime.pointer import Pointer, read_pointer
from videobert.runtime.storage import Store

__all__ = ["EmbeddingsInfo", "ModelInfo", "list_models"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsInfo:
    """Embeddings of one model with one pooling."""

    spec: str
    """Below `embeddings/` the folder is called `model=<spec>`."""
    batches: tuple[str, ...]
    """Committed ones, sorted."""
    current: bool = False
    """Whether readers take these."""
    former: int = 0
    """1 for those that readers took before, 2 for those before these; 0 for none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """One model."""

    spec: str
    committed: bool
    """False: training began and has not ended; all else is empty then."""
    step: int = 0
    """Optimiser steps."""
    batches: tuple[str, ...] = ()
    """What it was trained on."""
    evaluations: int = 0
    gates: int = 0
    """Gates of all evaluations together."""
    gates_held: int = 0
    embeddings: tuple[EmbeddingsInfo, ...] = ()


def list_models(store: Store) -> Iterator[ModelInfo]:
    """Sorted by spec."""
    pointer = read_pointer(store)
    embed_specs = specs_of(store, "embed")
    for spec in specs_of(store, "pretrain"):
        manifest = load_manifest(store, "pretrain", spec, "")
        if manifest is None:
            yield ModelInfo(spec=spec, committed=False)
            continue
        reports = find_reports(store, spec)
        gates = [gate for report in reports for gate in report.facts["gates"]]
        yield ModelInfo(
            spec=spec, committed=True, step=manifest.facts["step"], batches=tuple(manifest.facts["batches"]),
            evaluations=len(reports), gates=len(gates), gates_held=sum(bool(gate["holds"]) for gate in gates),
            embeddings=tuple(_embeddings(store, pointer, [e for e in embed_specs if e.rsplit(".", 1)[0] == spec])),
        )  # fmt: skip


def _embeddings(store: Store, pointer: Pointer | None, specs: Sequence[str]) -> Iterator[EmbeddingsInfo]:
    for spec in specs:
        former = pointer.former.index(spec) + 1 if pointer and spec in pointer.former else 0
        current = pointer is not None and pointer.embed_spec == spec
        yield EmbeddingsInfo(
            spec=spec, batches=tuple(sorted(committed_batches(store, "embed", spec))), current=current,
            former=0 if current else former,
        )  # fmt: skip
