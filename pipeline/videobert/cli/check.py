"""`videobert check`: look before hours of work."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from videobert.admin.preflight import check_run
from videobert.cli.stages import Compute
from videobert.errors import EmptyBatchError, InputError
from videobert.recipes import Recipe
from videobert.runtime.storage import Store

__all__ = ["CheckCommand", "report_check"]


@dataclass(frozen=True, kw_only=True)
class CheckCommand(Compute):
    """Check all that `run` needs before it computes anything: source, root, labels, text model, encoder, time."""

    source: tyro.conf.Positional[str] = ""
    """Prefix of the videos; empty: that of the recipe."""

    def execute(self) -> None:
        config, batches = self.for_source(self.source)
        report_check(config, Store(self.root), batches)


def report_check(config: Recipe, store: Store, batches: tuple[str, ...]) -> None:
    """Print what was found. Raises InputError for what is in the way, EmptyBatchError for a day without videos."""
    findings = check_run(config, store, batches)
    for finding in findings:
        print(f"{'FAIL' if finding.failed else 'ok':<5} {finding.what:<22} {finding.said}", flush=True)
    if failed := [finding for finding in findings if finding.failed]:
        kind = EmptyBatchError if all(finding.empty for finding in failed) else InputError
        names = ", ".join(finding.what for finding in failed)
        raise kind(f"{names} would stop this run; nothing was computed, mend what FAIL says")
