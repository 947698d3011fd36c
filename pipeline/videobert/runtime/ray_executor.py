"""Ray actors behind the same `map` as the local executor. The only file of the runtime that imports Ray."""

from __future__ import annotations

import functools
import logging
import os
import random
import tempfile
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import cloudpickle
import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

from videobert.errors import PipelineError
from videobert.runtime.executor import Service, Worker, load

__all__ = ["ActorOptions", "RayExecutor"]

_MOST_LOSSES = 3
"""Actors that may be lost over one shard, or before they got one, until the run stops."""
_LOCAL_OBJECT_STORE_BYTES = 200 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorOptions:
    """What one worker asks of the cluster."""

    num_cpus: float = 1.0
    """CPU share of one actor; on a two-core machine leave room for Ray itself, for example 0.5."""
    num_gpus: float = 0.0
    """GPU share of one actor; fractions put several actors on one GPU."""
    accelerator_type: str = ""
    """For example `H100`; empty takes any."""
    memory_bytes: int = 0
    """Memory to reserve for one actor; 0 reserves none."""


class RayExecutor:
    """A pool of at most `workers` actors; one that is lost is replaced, and its shard done by whichever is free."""

    def __init__(
        self, *, workers: int = 0, train_workers: int = 1, servers: int = 0, options: ActorOptions | None = None
    ) -> None:
        self._workers = workers
        self._train_workers = train_workers
        self._servers = servers
        self._served: tuple[Worker, tuple[Any, ...]] | None = None
        self._service = _Servers(())
        self._serving: list[Any] = []
        self._options = options or ActorOptions()
        self._loaded: tuple[Worker, bytes] | None = None
        self._actors: list[Any] = []
        self._new_actor: Callable[[], Any]

    def map(self, worker: Worker, arguments: tuple[Any, ...], tasks: Sequence[Any]) -> Iterator[Any]:
        if not tasks:
            return
        waiting, idle, lost = deque(range(len(tasks))), list[Any](), Counter[int | None]()
        # An actor gets a shard once it is there: one that finds no room in the cluster holds nothing up.
        running: dict[Any, tuple[Any, int | None]] = {
            actor.__ray_ready__.remote(): (actor, None)
            for actor in self._actors_for(worker, arguments, wanted=len(tasks))
        }
        left = len(tasks)
        while left:
            while waiting and idle:
                actor, number = idle.pop(), waiting.popleft()
                running[actor.ask.remote("__call__", tasks[number])] = (actor, number)
            (ready,), _ = ray.wait(list(running), num_returns=1)
            actor, done = running.pop(ready)
            try:
                result = ray.get(ready)
            except RayTaskError as error:
                raise error.cause from error  # the worker's own exception, as a local run would raise it
            except (RayActorError, OutOfMemoryError) as error:
                lost[done] += 1
                _check_losses(lost[done], error)
                waiting.extend(() if done is None else (done,))
                fresh = self._replace(actor)
                running[fresh.__ray_ready__.remote()] = (fresh, None)
                continue
            idle.append(actor)
            if done is not None:
                left -= 1
                yield result

    def _actors_for(self, worker: Worker, arguments: tuple[Any, ...], *, wanted: int) -> list[Any]:
        """Actors with this worker loaded: those of the map before, when they did the same for another batch."""
        _connect()
        gpus = not any(isinstance(argument, _Servers) for argument in arguments)
        key = (worker, cloudpickle.dumps(arguments))
        if key != self._loaded:
            self._release(servers=gpus)
            self._loaded = key
            if not gpus:
                self._start_servers()
            options = self._actor_options(gpus=gpus)
            self._new_actor = partial(ray.remote(_Actor).options(**options).remote, worker, arguments)
        count = min(wanted, self._workers or self._slots(gpus=gpus))
        self._actors += [self._new_actor() for _ in range(count - len(self._actors))]
        return self._actors[:count]

    def _release(self, *, servers: bool = True) -> None:
        """Make room for others."""
        if servers:
            self._stop_servers()
        for actor in self._actors:
            ray.kill(actor)
        self._loaded, self._actors = None, []

    def _replace(self, actor: Any) -> Any:
        """A fresh actor for a lost one; what is left of that one, if only its connection was lost, ends."""
        ray.kill(actor)
        fresh = self._new_actor()
        self._actors[self._actors.index(actor)] = fresh
        return fresh

    def serve(self, worker: Worker, arguments: tuple[Any, ...]) -> Service | None:
        """Actors that hold the GPUs, so that the workers of `map`, with none, fit on any node; `map` starts them."""
        if not self._servers:
            return None
        if self._served != (served := (worker, arguments)):
            self._stop_servers()
            self._served = served
            self._service = _Servers(tuple(f"videobert-server-{uuid.uuid4().hex}" for _ in range(self._servers)))
        return self._service

    def _start_servers(self) -> None:
        if not self._serving and self._served:
            # A question to one that is lost is asked again, of its successor.
            options = self._actor_options() | {"max_restarts": -1, "max_task_retries": _MOST_LOSSES}
            new: Any = ray.remote(_Actor)
            self._serving = [new.options(**options, name=n).remote(*self._served) for n in self._service.names]

    def _stop_servers(self) -> None:
        for actor in self._serving:
            ray.kill(actor)
        self._serving, self._served = [], None

    @contextmanager
    def worker_group(self, worker: Worker, arguments: Sequence[tuple[Any, ...]]) -> Iterator[Callable[..., list[Any]]]:
        """Actors that live for the group; those of `map` make room for them."""
        _connect()
        self._release()
        new_member: Callable[..., Any] = ray.remote(_Actor).options(**self._actor_options()).remote
        members = [new_member(worker, each) for each in arguments]

        def ask(method: str, *given: object) -> list[Any]:
            shared = [ray.put(part) for part in given]
            try:
                answers: list[Any] = ray.get([member.ask.remote(method, *shared) for member in members])
            except RayTaskError as error:
                raise error.cause from error
            except (RayActorError, OutOfMemoryError) as error:
                raise PipelineError(
                    f"Ray lost one of {len(members)} workers: {str(error).splitlines()[0]}; look for its end in Ray's "
                    "log, give more of them less each if it ran out of memory; the same command begins this stage anew"
                ) from error
            return answers

        try:
            yield ask
        finally:
            for member in members:
                ray.kill(member)

    @property
    def width(self) -> int:
        _connect()
        return self._workers or self._slots()

    def train(self, worker: Worker, arguments: Mapping[str, Any]) -> None:
        """Ray Train sets up the process group; a lost worker restarts the group, which resumes at its checkpoint."""
        # Imported here, for it brings torch with it: seconds and 400 MB that no other job needs.
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        _connect()
        self._release()
        o = self._options
        scaling = ScalingConfig(
            num_workers=self._train_workers,
            use_gpu=o.num_gpus > 0,
            resources_per_worker={"CPU": o.num_cpus, **({"GPU": o.num_gpus} if o.num_gpus else {})},
            accelerator_type=o.accelerator_type or None,
        )
        # Checkpoints lie on the pipeline's own store; Ray keeps only its bookkeeping, in a folder that goes afterwards.
        with tempfile.TemporaryDirectory(prefix="videobert-train-") as folder:
            loop = {"worker": worker, "arguments": dict(arguments)}
            run = RunConfig(name="train", storage_path=folder, failure_config=FailureConfig(max_failures=3))
            TorchTrainer(_train_worker, train_loop_config=loop, scaling_config=scaling, run_config=run).fit()

    def tune(self, trial: Callable[..., Any], arguments: Mapping[str, Any], numbers: Sequence[int]) -> None:
        """Run `trial(arguments, number)` for every number on Ray Tune; a lost one is run again."""
        from ray import tune

        _connect()
        self._release()
        o = self._options
        resources = {"cpu": o.num_cpus, **({"gpu": o.num_gpus} if o.num_gpus else {})}
        given = tune.with_parameters(_run_trial, trial=trial, arguments=dict(arguments))
        # No loggers: the trials write what they find to the pipeline's own store.
        with (
            tempfile.TemporaryDirectory(prefix="videobert-tune-") as folder,
            _setting("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"),
        ):
            tune.Tuner(
                tune.with_resources(given, resources),
                param_space={"number": tune.grid_search(list(numbers))},
                tune_config=tune.TuneConfig(max_concurrent_trials=self._workers or None),
                run_config=tune.RunConfig(
                    name="tune", storage_path=folder, failure_config=tune.FailureConfig(max_failures=3), verbose=0
                ),
            ).fit()

    def _actor_options(self, *, gpus: bool = True) -> dict[str, Any]:
        o = self._options
        # A lost actor is replaced here, for the shard's sake: Ray would hold it back until its actor finds room again.
        wanted: dict[str, Any] = {"num_cpus": o.num_cpus, "num_gpus": o.num_gpus if gpus else 0, "max_restarts": 0}
        if o.accelerator_type and gpus:
            wanted["accelerator_type"] = o.accelerator_type
        if o.memory_bytes:
            wanted["memory"] = o.memory_bytes
        return wanted

    def _slots(self, *, gpus: bool = True) -> int:
        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus = total.get("CPU", 1.0) - (0.0 if gpus else self._servers * self._options.num_cpus)
        slots = cpus / self._options.num_cpus if self._options.num_cpus else 1.0
        if self._options.num_gpus and gpus:
            slots = min(slots, total.get("GPU", 0.0) / self._options.num_gpus)
        return max(1, int(slots))


def _check_losses(losses: int, error: RayActorError | OutOfMemoryError) -> None:
    if isinstance(error, RayActorError) and error.actor_init_failed:
        raise PipelineError(f"a worker does not start: {str(error).strip().splitlines()[-1]}") from error
    if losses <= _MOST_LOSSES:
        return
    raise PipelineError(
        f"Ray lost {losses} actors over one shard, the last with: {str(error).splitlines()[0]}; look for their end in "
        "Ray's log, lower --executor.workers if they ran out of memory; the same command resumes"
    ) from error


def _connect() -> None:
    """Join the cluster, once there is work: a run that finds everything committed needs none."""
    if not ray.is_initialized():
        # A job finds its cluster in RAY_ADDRESS; without one, a small cluster of our own starts and ends with us, even
        # where the machine runs another: `local`, or Ray would join that one, whosesoever it is.
        local: dict[str, Any] = {
            "address": "local", "include_dashboard": False, "object_store_memory": _LOCAL_OBJECT_STORE_BYTES
        }  # fmt: skip
        ray.init(**({} if os.environ.get("RAY_ADDRESS") else local), configure_logging=False)


def _run_trial(config: dict[str, Any], trial: Callable[..., Any], arguments: dict[str, Any]) -> None:
    from ray import tune

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("videobert").setLevel(logging.INFO)
    found = trial(arguments, config["number"])
    tune.report({name: value for name, value in found.items() if isinstance(value, int | float)})


@contextmanager
def _setting(name: str) -> Iterator[None]:
    """An environment variable that is 1 meanwhile."""
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _train_worker(config: dict[str, Any]) -> None:
    from ray.train import get_context

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("videobert").setLevel(logging.INFO)
    context = get_context()
    job = load(config["worker"])(**config["arguments"])
    job(context.get_world_rank(), context.get_world_size())


class _Actor:
    """A worker in a process of the cluster; what it needs is imported there, what it holds stays from call to call."""

    def __init__(self, worker: Worker, arguments: tuple[Any, ...]) -> None:
        self._worker = load(worker)(*arguments)

    def ask(self, method: str, *given: Any) -> Any:
        return getattr(self._worker, method)(*given)


@dataclass(frozen=True, slots=True)
class _Servers:
    """The actors of a service, which take turns; by name, so that every worker finds them."""

    names: tuple[str, ...]

    def __call__(self, method: str, *given: Any) -> Any:
        try:
            return ray.get(_server(random.choice(self.names)).ask.remote(method, *given))
        except RayTaskError as error:
            raise error.cause from error
        except (RayActorError, OutOfMemoryError) as error:
            raise PipelineError(
                f"Ray lost what the workers share {_MOST_LOSSES + 1} times over one question: "
                f"{str(error).splitlines()[0]}; the same command resumes"
            ) from error


@functools.cache
def _server(name: str) -> Any:
    return ray.get_actor(name)
