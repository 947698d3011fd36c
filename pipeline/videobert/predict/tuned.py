"""Which fine-tuned model answers: the one that is named, the only one, or the one that the recipe's labels make."""

from __future__ import annotations

from collections.abc import Sequence

from videobert.errors import InputError
from videobert.recipes import Recipe
from videobert.resolve import Resolver, Selection
from videobert.runtime.manifest import Manifest, load_manifest, specs_of
from videobert.runtime.storage import Store

__all__ = ["find_tuned", "tuned_spec"]


def tuned_spec(recipe: Recipe, store: Store) -> str:
    """Its spec; empty where the recipe names no labels, no model is promoted, or nothing was fine-tuned from it."""
    if not recipe.finetune.labels:
        return ""
    try:
        return Resolver(recipe, store, Selection(model="current")).artifact("finetune").spec
    except InputError:
        return ""


def find_tuned(store: Store, spec: str = "", *, tasks: Sequence[str] = ()) -> Manifest:
    """A fine-tuned model: the one of that spec, or the only one, of one of these tasks (none: of any).

    Raises InputError where there is none, or several.
    """
    specs = [spec] if spec else specs_of(store, "finetune")
    found = [m for s in specs if (m := load_manifest(store, "finetune", s, ""))]
    found = [manifest for manifest in found if not tasks or manifest.facts["task"] in tasks]
    if len(found) == 1:
        return found[0]
    of = f" for {' or '.join(tasks)}" if tasks else ""
    if spec or not found:
        raise InputError(f"{store.root} has no fine-tuned model {spec}{of}; make one with `videobert finetune`")
    names = ", ".join(manifest.spec for manifest in found)
    raise InputError(f"{store.root} has {len(found)} fine-tuned models{of}; name one with --task: {names}")
