"""Reading a committed fine-tuned model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from videobert.runtime.device import pick_device
from videobert.runtime.manifest import Manifest
from videobert.runtime.storage import Store
from videobert.tasks.base import TaskNetwork
from videobert.tasks.files import choose_head, open_folder
from videobert.tasks.registry import get_task

__all__ = ["load_tuned"]


def load_tuned(
    store: Store, tuned: Manifest, *, head: int = 0, device: str = "auto"
) -> tuple[TaskNetwork, dict[str, Any]]:
    """The network of a commit of `finetune`, in evaluation mode, and its settings; `head` counts tasks learnt together.

    Raises InputError for a head that it does not have.
    """
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        for output in tuned.outputs:
            store.download(output.path, Path(folder) / output.path.rsplit("/", 1)[-1])
        if head:
            choose_head(Path(folder), head)
        local, encoder, settings = open_folder(folder)
        network = get_task(settings["task"]).load(encoder, local, settings)
    return network.to(pick_device(device)), settings
