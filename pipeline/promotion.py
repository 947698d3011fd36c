"""Promotion: when the gates hold and the embeddings are whole, readers turn to the new model in one write."""

from __future__ import annotations

import json
from typing import Any

from pipeline.embed.spec import embed_spec
from pipeline.errors import InputError
from pipeline.recipes import Recipe
from pipeline.runtime.manifest import Manifest, load_manifest, specs_of
from pipeline.runtime.pointer import Pointer, read_pointer, write_pointer
from pipeline.runtime.storage import Store

__all__ = ["find_reports", "promote", "read_metrics"]


def promote(recipe: Recipe, store: Store, model_spec: str, *, force: bool = False) -> str:
    """Point readers at a model; returns what was done in one sentence.

    Raises InputError when the model, its report or its embeddings are missing, or when a gate is missed (unless
    `force`).
    """
    model = load_manifest(store, "pretrain", model_spec, "")
    if model is None:
        raise InputError(
            f"model {model_spec!r} is not committed below {store.root}; `videobert status` lists the models"
        )
    reports = find_reports(store, model_spec)
    if not force:
        if not reports:
            raise InputError(
                f"model {model_spec} has no evaluation; run `videobert stage evaluate --model {model_spec}`"
            )
        # Evaluated more than once, every evaluation counts: one with its gates off lets nothing through.
        gates = [gate for report in reports for gate in report.facts["gates"]]
        missed = [f"{g['gate']}: {g['found']:.2f} of {g['needed']:.2f}" for g in gates if not g["holds"]]
        if missed:
            raise InputError(
                f"model {model_spec} misses {'; '.join(missed)}; train it better, or promote it with --force"
            )
    spec = embed_spec(recipe.embed, model)
    _check_embeddings(store, model, spec)
    pointer = Pointer(model_spec=model_spec, embed_spec=spec, report=f"reports/{reports[0].spec}" if reports else "")
    if read_pointer(store) == pointer:
        return f"{model_spec} is promoted already"
    write_pointer(store, pointer)
    return f"promoted {model_spec}; readers take embeddings/model={spec}"


def find_reports(store: Store, model_spec: str) -> list[Manifest]:
    """The evaluations of a model, the one with most gates first."""
    found = (load_manifest(store, "evaluate", spec, "") for spec in specs_of(store, "evaluate"))
    own = [report for report in found if report and report.facts["model_spec"] == model_spec]
    return sorted(own, key=lambda report: (-len(report.facts["gates"]), report.spec))


def _check_embeddings(store: Store, model: Manifest, spec: str) -> None:
    missing = [batch for batch in model.facts["batches"] if load_manifest(store, "embed", spec, batch) is None]
    if missing:
        raise InputError(
            f"batches {', '.join(missing)} are not embedded with {model.spec}, and readers would miss them; "
            f"run `videobert stage embed --model {model.spec} --batch {','.join(missing)}` first"
        )


def read_metrics(store: Store, report: Manifest) -> dict[str, Any]:
    """The figures of an evaluation."""
    path = next(output.path for output in report.outputs if output.path.endswith("metrics.json"))
    metrics: dict[str, Any] = json.loads(store.read(path))
    return metrics
