"""`videobert models`: the trained models, and which one readers take."""

from __future__ import annotations

from dataclasses import dataclass

import videobert
from videobert.admin.promotion import promote, roll_back
from videobert.api import EmbeddingsInfo, ModelInfo, Root
from videobert.errors import InputError
from videobert.recipes import DEFAULT_RECIPE, get_recipe
from videobert.runtime.storage import Store

__all__ = ["ModelsCommand"]


@dataclass(frozen=True, kw_only=True)
class ModelsCommand:
    """List the models and what readers take; turn readers to one, or back to the one before.

    videobert models --root demo

    videobert models --root demo --promote pretrain-0123abcd

    A promotion is one small write that readers see at their next call. It is refused while a gate of the model's
    evaluation is missed (--force insists), or while a batch that readers have today is not embedded with it.
    """

    root: str
    """Root of the pipeline."""
    promote: str = ""
    """Spec of the model to turn readers to, when its gates hold and no batch would be missing."""
    force: bool = False
    """Promote even if a gate is missed."""
    recipe: str = DEFAULT_RECIPE
    """Recipe whose embedding config `promote` means."""
    rollback: bool = False
    """Turn readers back to the embeddings they took before."""

    def execute(self) -> None:
        if self.promote and self.rollback:
            raise InputError("--promote and --rollback exclude each other; give one of them")
        if self.promote or self.rollback:
            store = Store(self.root)
            store.check_root()
            if self.promote:
                print(promote(get_recipe(self.recipe), store, self.promote, force=self.force))
            else:
                print(roll_back(store))
        else:
            _print_models(videobert.open(self.root))


def _print_models(root: Root) -> None:
    for model in root.models():
        if not model.committed:
            print(f"  {model.spec:<24} begun, not committed: run it again to resume")
            continue
        print(f"  {model.spec:<24} step {model.step:,}, {len(model.batches)} batches; {_gates(model)}")
        for embeddings in model.embeddings:
            print(f"    embeddings/model={embeddings.spec:<24} {len(embeddings.batches)} batches{_mark(embeddings)}")
    if root.current is None:
        print("no model is promoted")


def _gates(model: ModelInfo) -> str:
    return f"{model.gates_held} of {model.gates} gates hold" if model.evaluations else "not evaluated"


def _mark(embeddings: EmbeddingsInfo) -> str:
    if embeddings.current:
        return "  <- current"
    return f"  (former {embeddings.former})" if embeddings.former else ""
