"""`videobert models`: the trained models, and which one readers take."""

from __future__ import annotations

from dataclasses import dataclass

from videobert.admin.promotion import find_reports, promote, roll_back
from videobert.errors import InputError
from videobert.recipes import get_recipe
from videobert.runtime.manifest import Manifest, committed_batches, load_manifest, specs_of
from videobert.runtime.pointer import read_pointer
from videobert.runtime.storage import Store

__all__ = ["ModelsCommand"]


@dataclass(frozen=True, kw_only=True)
class ModelsCommand:
    """List the models and what readers take; turn readers to one, or back to the one before."""

    root: str
    """Root of the pipeline."""
    promote: str = ""
    """Spec of the model to turn readers to, when its gates hold and no batch would be missing."""
    force: bool = False
    """Promote even if a gate is missed."""
    recipe: str = "demo"
    """Recipe whose embedding config `promote` means."""
    rollback: bool = False
    """Turn readers back to the embeddings they took before."""

    def execute(self) -> None:
        if self.promote and self.rollback:
            raise InputError("--promote and --rollback exclude each other; give one of them")
        store = Store(self.root)
        if self.promote or self.rollback:
            store.check_root()
        if self.promote:
            print(promote(get_recipe(self.recipe), store, self.promote, force=self.force))
        elif self.rollback:
            print(roll_back(store))
        else:
            _print_models(store)


def _print_models(store: Store) -> None:
    pointer = read_pointer(store)
    embeds = specs_of(store, "embed")
    for spec in specs_of(store, "pretrain"):
        model = load_manifest(store, "pretrain", spec, "")
        if model is None:
            print(f"  {spec:<24} begun, not committed: run it again to resume")
            continue
        print(
            f"  {spec:<24} step {model.facts['step']:,}, {len(model.facts['batches'])} batches; {_gates(store, spec)}"
        )
        for embed in (name for name in embeds if name.rsplit(".", 1)[0] == spec):
            mark = _mark(embed, pointer.embed_spec if pointer else "", pointer.former if pointer else ())
            print(f"    embeddings/model={embed:<24} {len(committed_batches(store, 'embed', embed))} batches{mark}")
    if pointer is None:
        print("no model is promoted")


def _gates(store: Store, spec: str) -> str:
    reports: list[Manifest] = find_reports(store, spec)
    if not reports:
        return "not evaluated"
    gates = [gate for report in reports for gate in report.facts["gates"]]
    return f"{sum(gate['holds'] for gate in gates)} of {len(gates)} gates hold"


def _mark(embed: str, current: str, former: tuple[str, ...]) -> str:
    if embed == current:
        return "  <- current"
    return f"  (former {former.index(embed) + 1})" if embed in former else ""
