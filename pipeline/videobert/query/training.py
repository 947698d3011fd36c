"""How the training of a model went."""

from __future__ import annotations

import json
from typing import Any

from videobert.pretrain.stopping import TRAINING_FILE
from videobert.runtime.manifest import Manifest, folder_of
from videobert.runtime.storage import Store
from videobert.stages import get_stage

__all__ = ["training_history"]

Records = list[dict[str, float]]


def training_history(store: Store, model: Manifest) -> tuple[Records, Records]:
    """The curve of training to its end, which may lie behind the step that is the model, and the checks."""
    if "training" not in model.facts:
        curve: Records = json.loads(store.read(f"{model.facts['directory']}/train_state.json"))["curve"]
        return curve, []
    folder = folder_of(get_stage("pretrain"), model.spec, "")
    told: dict[str, Any] = json.loads(store.read(f"{folder}/{TRAINING_FILE}"))
    return told["curve"], told["checks"]
