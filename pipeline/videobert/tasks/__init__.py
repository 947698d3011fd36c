"""Fine-tuned tasks: one file each, listed in `tasks.registry`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videobert.tasks.base import TaskNetwork

__all__ = ["load_network"]


def load_network(folder_or_id: str | Path) -> TaskNetwork:
    """The network of a fine-tuned model's folder or Hugging Face id, whatever its task, in evaluation mode."""
    from videobert.tasks.files import open_folder
    from videobert.tasks.registry import get_task

    folder, encoder, settings = open_folder(folder_or_id)
    return get_task(settings["task"]).load(encoder, folder, settings)
