"""Which fine-tuned model answers by default: the one that the recipe's labels made of the promoted model."""

from __future__ import annotations

from videobert.errors import InputError
from videobert.recipes import Recipe
from videobert.resolve import Resolver, Selection
from videobert.runtime.storage import Store

__all__ = ["tuned_spec"]


def tuned_spec(recipe: Recipe, store: Store) -> str:
    """Its spec; empty where the recipe names no labels, no model is promoted, or nothing was fine-tuned from it."""
    if not recipe.finetune.labels:
        return ""
    try:
        return Resolver(recipe, store, Selection(model="current")).artifact("finetune").spec
    except InputError:
        return ""
