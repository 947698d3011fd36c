"""Evaluations of a model: what they found, whether their gates hold, and which of them no longer count."""

from __future__ import annotations

import json
from typing import Any

from videobert.errors import InputError
from videobert.runtime.manifest import Manifest, load_manifest, specs_of
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store

__all__ = ["check_gates", "find_reports", "read_metrics", "read_withdrawn", "withdraw"]

_WITHDRAWN = "reports/withdrawn.json"


def find_reports(store: Store, model_spec: str) -> list[Manifest]:
    """The evaluations of a model that count, the one with most gates first."""
    withdrawn = read_withdrawn(store)
    found = (load_manifest(store, "evaluate", spec, "") for spec in specs_of(store, "evaluate"))
    own = [report for report in found if report and report.facts["model_spec"] == model_spec]
    counted = [report for report in own if report.spec not in withdrawn]
    return sorted(counted, key=lambda report: (-len(report.facts["gates"]), report.spec))


def check_gates(store: Store, model_spec: str) -> str:
    """Whether every gate of every evaluation holds, in one sentence. Raises InputError when one is missed."""
    reports = find_reports(store, model_spec)
    if not reports:
        raise InputError(f"model {model_spec} has no evaluation; run `videobert stage evaluate --model {model_spec}`")
    # Evaluated more than once, every evaluation counts: one with its gates off lets nothing through.
    missed = {report.spec: _missed(report) for report in reports if _missed(report)}
    if missed:
        told = "; ".join(f"{', '.join(gates)} ({spec})" for spec, gates in missed.items())
        raise InputError(
            f"model {model_spec} misses {told}; train it better, or insist with --force; where the evaluation asked "
            "too much, correct its gates in the recipe, evaluate again, and take the former one back with --withdraw"
        )
    return f"{model_spec}: {sum(len(report.facts['gates']) for report in reports)} gates hold"


def withdraw(store: Store, spec: str, *, reason: str) -> str:
    """Let an evaluation count no longer; it stays to be read, and the reason with it. Returns one sentence.

    Raises InputError without a reason, for what is no evaluation, and where no other evaluation of the model would
    count: a model is never promoted unmeasured.
    """
    report = load_manifest(store, "evaluate", spec, "")
    if report is None:
        raise InputError(f"{spec!r} is no evaluation below {store.root}; a missed gate is told with the one it is of")
    if not reason.strip():
        raise InputError(f"{spec} is withdrawn without a reason; say with --reason what was wrong with it")
    model = report.facts["model_spec"]
    if not [other for other in find_reports(store, model) if other.spec != spec]:
        raise InputError(
            f"{spec} is the only evaluation of {model} that counts; correct the gates in the recipe and run "
            f"`videobert stage evaluate --model {model}` first"
        )
    former = store.read_or_none(_WITHDRAWN)
    now = _parse(store, former) | {spec: reason.strip()}
    store.commit(_WITHDRAWN, canonical_json(now), former=former)
    return f"{spec} of {model} counts no longer: {reason.strip()}"


def read_withdrawn(store: Store) -> dict[str, str]:
    """Evaluation -> why it counts no longer."""
    return _parse(store, store.read_or_none(_WITHDRAWN))


def read_metrics(store: Store, report: Manifest) -> dict[str, Any]:
    """The figures of an evaluation."""
    path = next(output.path for output in report.outputs if output.path.endswith("metrics.json"))
    metrics: dict[str, Any] = json.loads(store.read(path))
    return metrics


def _missed(report: Manifest) -> list[str]:
    gates = (gate for gate in report.facts["gates"] if not gate["holds"])
    return [f"{gate['gate']}: {gate['found']:.2f} of {gate['needed']:.2f}" for gate in gates]


def _parse(store: Store, data: bytes | None) -> dict[str, str]:
    try:
        raw = json.loads(data) if data is not None else {}
        return {str(spec): str(reason) for spec, reason in raw.items()}
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"{store.url(_WITHDRAWN)} is no list of evaluations ({error}); remove it, and withdraw them again"
        ) from error
