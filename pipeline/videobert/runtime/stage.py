"""What is known of a stage before anything of it is loaded: its name, its place in the flow, where it writes.

Each stage's folder declares one (`features/stage.py` and so on); `videobert.stages` lists them in order and registers
them here, where manifests and shards look them up by name.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from videobert.errors import InputError

__all__ = ["Part", "Stage", "register_stage", "registered_stages", "stage_record"]

Part = Literal["ingest", "train", "embed", "finetune", "predict"]
"""A part of the flow, and the DAG that runs it. The last two are run for who has labels."""


class Stage:
    """One step of the flow."""

    name: ClassVar[str]
    scope: ClassVar[Literal["batch", "corpus"]]
    """`batch`: one run and one manifest per batch. `corpus`: one over many batches."""
    reads: ClassVar[tuple[str, ...]]
    """Stages whose manifests it reads."""
    folder: ClassVar[str]
    """Where it writes, under the root; `{spec}` is replaced by its spec."""
    suffix: ClassVar[str] = ""
    """File type of its shards; empty for corpus stages."""
    version: ClassVar[int]
    """Raised whenever the code changes the bytes it writes; part of the spec."""
    summary: ClassVar[str]
    parts: ClassVar[tuple[Part, ...]]
    """The DAGs in which it runs."""
    asset: ClassVar[str] = ""
    """The Airflow asset that its commit updates; empty: none."""
    config: type[Any]
    """The dataclass of what may vary."""
    hours: ClassVar[int] = 12
    """Longest a job of it may take under Airflow, retries not included."""


_STAGES: dict[str, Stage] = {}


def register_stage(stage: Stage) -> None:
    """Make a stage known by its name. Raises InputError when the name is taken."""
    if stage.name in _STAGES:
        raise InputError(f"there are two stages called {stage.name!r}; rename one of them")
    _STAGES[stage.name] = stage


def registered_stages() -> tuple[Stage, ...]:
    """All stages, in the order of the flow."""
    return tuple(_STAGES.values())


def stage_record(name: str) -> Stage:
    """The stage of that name. Raises InputError for a name that does not exist."""
    if name not in _STAGES:
        raise InputError(f"there is no stage {name!r}; the stages are {', '.join(_STAGES)}")
    return _STAGES[name]
