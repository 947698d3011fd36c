"""`videobert models`: the trained models, and which one readers take."""

from __future__ import annotations

from dataclasses import dataclass, field

import videobert
from videobert.admin.evaluations import withdraw
from videobert.admin.promotion import promote, roll_back
from videobert.api import EmbeddingsInfo, ModelInfo, Root
from videobert.cli.stages import ExecutorOptions
from videobert.errors import InputError
from videobert.recipes import DEFAULT_RECIPE, get_recipe
from videobert.runtime.storage import Store

__all__ = ["ModelsCommand"]


@dataclass(frozen=True, kw_only=True)
class ModelsCommand:
    """List the models and what readers take; turn readers to one, or back to the one before.

    videobert models --root demo

    videobert models --root demo --promote pretrain-0123abcd

    videobert models --root demo --withdraw evaluate-0123abcd --reason "R@10 asked for 5 of 4 classes"

    A promotion is one small write that readers see at their next call. It is refused while a gate of the model's
    evaluations is missed (--force insists). Batches that are not embedded with the model yet are, before and after that
    write, so that readers lose none.
    """

    root: str
    """Root of the pipeline."""
    promote: str = ""
    """Spec of the model to turn readers to, when its gates hold and no batch would be missing."""
    force: bool = False
    """Promote even if a gate is missed."""
    recipe: str = DEFAULT_RECIPE
    """Recipe with which the batches are embedded."""
    rollback: bool = False
    """Turn readers back to the embeddings they took before."""
    withdraw: str = ""
    """Spec of an evaluation that shall count no longer, once a corrected one of the same model is there."""
    reason: str = ""
    """Why it is withdrawn; kept with it."""
    executor: ExecutorOptions = field(default_factory=ExecutorOptions)
    """Where the batches that are missing are embedded."""

    def execute(self) -> None:
        if sum(map(bool, (self.promote, self.rollback, self.withdraw))) > 1:
            raise InputError("--promote, --rollback and --withdraw exclude each other; give one of them")
        if not (self.promote or self.rollback or self.withdraw):
            _print_models(videobert.open(self.root))
            return
        store = Store(self.root)
        store.check_root()
        if self.withdraw:
            print(withdraw(store, self.withdraw, reason=self.reason))
        elif self.promote:
            executor = self.executor.build()
            print(promote(get_recipe(self.recipe), store, self.promote, force=self.force, executor=executor))
        else:
            print(roll_back(get_recipe(self.recipe), store, executor=self.executor.build()))


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
