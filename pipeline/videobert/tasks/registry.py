"""The tasks by name. To add one, write a file here and list it. Light: only the task that is asked for is imported."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from videobert.errors import InputError

if TYPE_CHECKING:
    from videobert.tasks.base import Task

__all__ = ["TASKS", "check_task", "get_task"]

TASKS = {
    "classification": "classification:Classification",
    "retrieval": "retrieval:Retrieval",
    "choices": "choices:Choices",
    "open-questions": "questions:OpenQuestions",
    "captions": "captions:Captions",
}
"""Name -> module of this package and class."""


def check_task(name: str) -> None:
    """Raise InputError for a task that does not exist."""
    if name not in TASKS:
        raise InputError(f"there is no task {name!r}; the tasks are {', '.join(TASKS)}")


def get_task(name: str) -> Task:
    """The task of that name. Raises InputError for one that does not exist."""
    check_task(name)
    module, _, kind = TASKS[name].partition(":")
    found: Task = getattr(importlib.import_module(f"videobert.tasks.{module}"), kind)()
    return found
