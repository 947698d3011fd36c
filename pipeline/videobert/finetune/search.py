"""Search for hyper-parameters on Ray Tune: trials are trained and compared on the validation split, the best is kept.

A trial is written to the root when it ends, so a search that was killed goes on with those that are missing.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from videobert.errors import InputError, PipelineError
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.job import FinetuneJob
from videobert.finetune.run import job_arguments
from videobert.finetune.stage import FINETUNE
from videobert.pretrain.seeding import generator
from videobert.runtime.inputs import Inputs
from videobert.runtime.ray_executor import RayExecutor
from videobert.runtime.spec import canonical_json, digest
from videobert.runtime.storage import Store

__all__ = ["MOST_TRIALS", "Trial", "drawn", "parse_search", "search"]

MOST_TRIALS = 1_000
FOLDER = "searches"
_FREEZE = ("nothing", "embeddings", "encoder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One configuration, trained to its end."""

    number: int
    changes: dict[str, Any]
    """Fields of the configuration that it tries."""
    metric: str
    value: float
    """Of the validation split, larger is better."""
    loss: float
    """Which decides between equals."""
    epoch: int


def parse_search(given: str) -> int:
    """Number of trials of `trials=20`. Raises InputError for anything else."""
    name, _, count = given.partition("=")
    if name != "trials" or not count.isdecimal() or not 1 <= int(count) <= MOST_TRIALS:
        raise InputError(f"--search {given!r} cannot be understood; write trials=20, with at most {MOST_TRIALS}")
    return int(count)


def drawn(config: FinetuneConfig, number: int) -> dict[str, Any]:
    """What trial `number` changes: nothing at first, then draws that follow from the seed and the number alone."""
    if number == 0:
        return {}
    rng = generator(config.seed, "search", number)
    return {
        "freeze": str(rng.choice(_FREEZE)),
        "learning_rate": _rounded(10 ** rng.uniform(-4.0, -2.3)),
        "encoder_rate": _rounded(10 ** rng.uniform(-1.5, 0.0)),
        "weight_decay": _rounded(10 ** rng.uniform(-3.0, -1.0)),
        "dropout": float(rng.choice([0.0, 0.1, 0.3])),
        "label_smoothing": float(rng.choice([0.0, 0.1])),
    }


def search(config: FinetuneConfig, inputs: Inputs, executor: RayExecutor, *, trials: int) -> FinetuneConfig:
    """The best of so many configurations, whose `search` names the file of all trials, for the report."""
    if config.search:
        raise InputError(f"finetune.search is {config.search}; a search begins from a configuration without one")
    spec = FINETUNE.spec(config, inputs)
    name = f"{FOLDER}/{spec}-{digest([drawn(config, n) for n in range(trials)])[:8]}"
    store = inputs.store
    missing = [number for number in range(trials) if not store.exists(_path(name, number))]
    if missing:
        arguments = {
            "config": config,
            "store": store,
            "name": name,
            "job": FinetuneJob(**job_arguments(config, inputs)),
        }
        executor.tune(run_trial, arguments, missing)
    found = [Trial(**json.loads(data)) for n in range(trials) if (data := store.read_or_none(_path(name, n)))]
    if len(found) < trials:
        raise PipelineError(
            f"{trials - len(found)} of {trials} trials failed; Ray's log says why, the same command resumes"
        )
    best = max(found, key=lambda trial: (trial.value, -trial.loss, -trial.number))
    table = {"best": best.number, "trials": [dataclasses.asdict(trial) for trial in found]}
    store.write(f"{name}.json", canonical_json(table))
    return dataclasses.replace(config, **best.changes, search=f"{name}.json")


def run_trial(arguments: dict[str, Any], number: int) -> dict[str, Any]:
    """Train trial `number` in this process, write what it found, and return it."""
    config: FinetuneConfig = arguments["config"]
    store: Store = arguments["store"]
    job: FinetuneJob = arguments["job"]
    changes = drawn(config, number)
    tried = dataclasses.replace(job, config=dataclasses.replace(config, **changes))
    validation = tried.validation_only()
    epoch = int(np.lexsort([[f["loss"] for f in validation], [-next(iter(f.values())) for f in validation]])[0])
    metric, value = next(iter(validation[epoch].items()))
    trial = Trial(
        number=number, changes=changes, metric=metric, value=value, loss=validation[epoch]["loss"], epoch=epoch + 1
    )
    store.write(_path(arguments["name"], number), canonical_json(dataclasses.asdict(trial)))
    return dataclasses.asdict(trial)


def _path(name: str, number: int) -> str:
    return f"{name}/trial-{number:04d}.json"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
