"""Promotion: when the gates hold and the embeddings are whole, readers turn to the new model in one write."""

from __future__ import annotations

import json
from typing import Any

from videobert.embed.stage import EMBED
from videobert.errors import InputError
from videobert.recipes import Recipe
from videobert.runtime.manifest import Manifest, committed_batches, load_manifest, specs_of
from videobert.runtime.pointer import Pointer, read_pointer, write_pointer
from videobert.runtime.storage import Store

__all__ = ["check_gates", "find_reports", "promote", "read_metrics", "roll_back"]

_MOST_FORMER = 20


def promote(recipe: Recipe, store: Store, model_spec: str, *, force: bool = False) -> str:
    """Point readers at a model; returns what was done in one sentence.

    Raises InputError when the model, its report or its embeddings are missing, or when a gate is missed (unless
    `force`).
    """
    model = load_manifest(store, "pretrain", model_spec, "")
    if model is None:
        raise InputError(
            f"model {model_spec!r} is not committed below {store.root}; `videobert models` lists the models"
        )
    reports = find_reports(store, model_spec)
    if not force:
        check_gates(store, model_spec)
    report = f"reports/{reports[0].spec}" if reports else ""
    return _turn_to(store, model, EMBED.spec(recipe.embed, {"pretrain": model.spec}), report)


def check_gates(store: Store, model_spec: str) -> str:
    """Whether every gate of every evaluation holds, in one sentence. Raises InputError when one is missed."""
    reports = find_reports(store, model_spec)
    if not reports:
        raise InputError(f"model {model_spec} has no evaluation; run `videobert stage evaluate --model {model_spec}`")
    # Evaluated more than once, every evaluation counts: one with its gates off lets nothing through.
    gates = [gate for report in reports for gate in report.facts["gates"]]
    missed = [f"{g['gate']}: {g['found']:.2f} of {g['needed']:.2f}" for g in gates if not g["holds"]]
    if missed:
        raise InputError(f"model {model_spec} misses {'; '.join(missed)}; train it better, or insist with --force")
    return f"{model_spec}: {len(gates)} gates hold"


def roll_back(store: Store) -> str:
    """Point readers at the embeddings they took before; returns what was done in one sentence.

    Raises InputError when there is no former model, or when batches of today are not embedded with it.
    """
    current = read_pointer(store)
    if current is None or not current.former:
        raise InputError(f"{store.root} has no former model to go back to; `videobert models` lists what there is")
    spec = current.former[0]
    model = load_manifest(store, "pretrain", spec.rsplit(".", 1)[0], "")
    if model is None:
        raise InputError(f"the former model of embeddings/model={spec} is gone; promote another by hand")
    reports = find_reports(store, model.spec)
    return _turn_to(store, model, spec, f"reports/{reports[0].spec}" if reports else "", back=True)


def _turn_to(store: Store, model: Manifest, spec: str, report: str, *, back: bool = False) -> str:
    current = read_pointer(store)
    if current and (current.model_spec, current.embed_spec, current.report) == (model.spec, spec, report):
        return f"{model.spec} is promoted already"
    _check_embeddings(store, model, spec, current)
    former: tuple[str, ...] = ()
    if current:
        former = current.former[1:] if back else (current.embed_spec, *current.former)[:_MOST_FORMER]
    write_pointer(store, Pointer(model_spec=model.spec, embed_spec=spec, report=report, former=former))
    return f"{'rolled back to' if back else 'promoted'} {model.spec}; readers take embeddings/model={spec}"


def find_reports(store: Store, model_spec: str) -> list[Manifest]:
    """The evaluations of a model, the one with most gates first."""
    found = (load_manifest(store, "evaluate", spec, "") for spec in specs_of(store, "evaluate"))
    own = [report for report in found if report and report.facts["model_spec"] == model_spec]
    return sorted(own, key=lambda report: (-len(report.facts["gates"]), report.spec))


def _check_embeddings(store: Store, model: Manifest, spec: str, current: Pointer | None) -> None:
    """Readers lose no batch: what the model was trained on, and what they can read today, must be there."""
    wanted = set(model.facts["batches"])
    if current:
        wanted |= committed_batches(store, "embed", current.embed_spec)
    missing = sorted(wanted - committed_batches(store, "embed", spec))
    if missing:
        raise InputError(
            f"batches {', '.join(missing)} are not embedded with {model.spec}, and readers would miss them; run "
            f"`videobert stage tokens` and then `videobert stage embed`, both with --model {model.spec} "
            f"--batch {','.join(missing)}, first"
        )


def read_metrics(store: Store, report: Manifest) -> dict[str, Any]:
    """The figures of an evaluation."""
    path = next(output.path for output in report.outputs if output.path.endswith("metrics.json"))
    metrics: dict[str, Any] = json.loads(store.read(path))
    return metrics
