"""When training stops, which step is the model, and how that is said. Light: the report and the card import it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["TRAINING_FILE", "best_step", "has_stopped", "is_best", "stop_sentence"]

TRAINING_FILE = "training.json"
"""In the folder of a model that was trained with checks: the curve of training to its end, and the checks."""
Checks = Sequence[Mapping[str, float]]
"""Records of checks in order: step, loss, parts of the loss, and the ranking where that is what tells the best."""


def best_step(checks: Checks) -> int | None:
    """The step of the best ranking, where that is measured; among equals that of least loss, the first of them.

    None without a check.
    """
    if not checks:
        return None
    ranked = _ranked(checks)
    return int(min(checks, key=lambda check: (-check["ranking"] if ranked else 0.0, check["loss"]))["step"])


def _ranked(checks: Checks) -> bool:
    return all("ranking" in check for check in checks)


def is_best(checks: Checks) -> bool:
    """Whether the last check is better than all before."""
    return bool(checks) and best_step(checks) == checks[-1]["step"]


def has_stopped(checks: Checks, *, patience: int) -> bool:
    """Whether the last `patience` checks were no better than one before them."""
    steps = [int(check["step"]) for check in checks]
    best = best_step(checks)
    return best is not None and len(steps) - 1 - steps.index(best) >= patience


def stop_sentence(training: Mapping[str, Any]) -> str:
    """How training ended, from the facts of a model that was trained with `validation.checks`."""
    plan, checks, ended = training["plan"], training["checks"], training["ended"]
    if not checks:
        return (
            f"All {ended:,} steps were trained: there are too few training videos to keep some aside and stop by them."
        )
    if _ranked(checks):
        best = f"were found best by their sentences, with {max(check['ranking'] for check in checks):.3f} of 1,"
    else:
        best = f"had their least loss, {min(check['loss'] for check in checks):.3f},"
    aside = f"{plan['videos']:,} training video{'s' * (plan['videos'] > 1)} kept aside"
    where = f"{aside} {best} after {best_step(checks):,} steps, which are the model"
    if ended < plan["steps"]:
        return f"Training stopped after {ended:,} of {plan['steps']:,} steps: {where}."
    return f"All {ended:,} steps were trained: {where}."
