"""What models that were fine-tuned from this one say of a span: classes, values, and a caption."""

from __future__ import annotations

from collections.abc import Sequence

from videobert.errors import InputError
from videobert.finetune.sight import Sight
from videobert.runtime.manifest import Manifest, load_manifest, specs_of
from videobert.runtime.storage import Store
from videobert.tasks.base import Answer
from videobert.tasks.load import load_tuned
from videobert.tasks.registry import get_task
from videobert.tokens.records import TokenizedVideo

__all__ = ["Heads"]

_TASKS = ("classification", "captions")
"""Those that answer without being asked."""


class Heads:
    """Loaded once, each asked about one span at a time."""

    def __init__(self, store: Store, model_spec: str, names: Sequence[str]) -> None:
        self._loaded = [
            (manifest.spec, get_task(manifest.facts["task"]), *load_tuned(store, manifest, device="cpu"))
            for manifest in _chosen(store, model_spec, names)
        ]

    def answers(self, video: TokenizedVideo, first: int, last: int) -> dict[str, Answer]:
        """Spec of the fine-tuned model -> what it says of clips first .. last-1."""
        found = {}
        for spec, task, network, settings in self._loaded:
            example = Sight.of(network, settings).example(video, first, last)
            (found[spec],) = task.answers(network.predictions([example]), settings["facts"])
        return found


def _chosen(store: Store, model_spec: str, names: Sequence[str]) -> list[Manifest]:
    """The named ones, or all of the model. Raises InputError for one that is not there or answers questions only."""
    found = {spec: load_manifest(store, "finetune", spec, "") for spec in specs_of(store, "finetune")}
    own = {
        spec: manifest
        for spec, manifest in found.items()
        if manifest and manifest.facts["model_spec"] == model_spec and manifest.facts["task"] in _TASKS
    }
    if wrong := [name for name in names if name not in own]:
        there = ", ".join(own) or "none"
        raise InputError(
            f"task {wrong[0]!r} is no fine-tuned model of {model_spec} that answers by itself; there are: {there}"
        )
    return [own[name] for name in names or sorted(own)]
