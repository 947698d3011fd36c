"""The crash matrix: every stage killed at every write boundary, resumed, compared with an undisturbed run.

python -m tests.faults.matrix --storage file --executor local
"""

from __future__ import annotations

import argparse
import functools
import importlib
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from infra.local.processes import Service
from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from tests.faults.crash import CrashStore, Moment, boundaries, in_child
from tests.faults.reference import STEPS, Reference, check_manifests, objects_of, put_objects, run_step
from videobert.recipes import Recipe
from videobert.runtime.executor import Executor, LocalExecutor
from videobert.runtime.storage import Store

_MODULES = (
    "videobert.codebook.run", "videobert.codebook.hierarchy", "videobert.codebook.wordpiece", "videobert.embed.worker",
    "videobert.evaluate.run", "videobert.features.worker", "videobert.features.encoders.packaged",
    "videobert.ingest.worker", "videobert.pretrain.job", "videobert.pretrain.run", "videobert.shard.worker",
    "videobert.tokens.worker", "pyarrow.dataset", "transformers.models.bert.modeling_bert",
)  # fmt: skip
"""Imported once, so that the process of a case starts with them; nothing of them runs here, and no thread starts."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the cases run."""

    storage: str
    """`file`, or `s3`: a folder of a bucket a case."""
    executor: str
    """`local` or `ray`."""
    folder: Path

    def root(self, case: str) -> str:
        return f"s3://faults/{case}" if self.storage == "s3" else str(self.folder / "roots" / case)

    def build(self) -> Executor:
        if self.executor == "local":
            return LocalExecutor()
        from videobert.runtime.ray_executor import ActorOptions, RayExecutor

        return RayExecutor(workers=2, options=ActorOptions(num_cpus=0.5))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kill."""

    step: str
    number: int
    moment: Moment
    where: str
    """The boundary in words."""

    @property
    def key(self) -> str:
        return f"{self.step}-{self.number:03d}-{self.moment}"


def cases_of(reference: Reference, steps: Sequence[str], *, every: int = 1) -> Iterator[Case]:
    """Before every boundary, in the middle of every write, and after the last one; or every `every`-th of them."""
    found: list[Case] = []
    for step in steps:
        names = reference.boundaries[step]
        for number, where in enumerate([*names, "end"]):
            found.append(Case(step=step, number=number, moment="before", where=where))
            if where.startswith("write "):
                found.append(Case(step=step, number=number, moment="torn", where=where))
    return itertools.islice(found, every // 2, None, every)


def run_case(case: Case, reference: Reference, place: Place) -> str:
    """Kill, look as a reader, resume, compare; returns what is wrong, or nothing."""
    root, ledger = place.root(case.key), place.folder / f"{case.key}.ledger"
    ledger.unlink(missing_ok=True)
    begin = functools.partial(_begin, root, reference.before(case.step))
    killed = functools.partial(_step, reference.recipe, root, ledger, case, place)
    resumed = functools.partial(_resume, reference.recipe, root, case, place, reference.after(case.step))
    if in_child(begin):
        return "the case could not be set up"
    code = in_child(killed)
    reached = len(boundaries(ledger)) > case.number
    if reached and code != -9 and not (place.executor == "ray" and code == 0):
        return f"exit code {code} where it should have been killed"
    if not reached and code:
        return f"exit code {code} of a run that nothing disturbed"
    problem = "resumed, but not equal" if in_child(resumed) else ""
    if place.storage == "file" and not problem:
        shutil.rmtree(root)
    return problem


def _begin(root: str, objects: Mapping[str, bytes]) -> None:
    put_objects(Store(root), objects)


def _step(recipe: Recipe, root: str, ledger: Path, case: Case, place: Place) -> None:
    _quiet(place)
    run_step(recipe, CrashStore(root, ledger, case.number, case.moment), case.step, place.build())


def _resume(recipe: Recipe, root: str, case: Case, place: Place, wanted: Mapping[str, bytes]) -> None:
    _quiet(place)
    store = Store(root)
    check_manifests(objects_of(store))
    run_step(recipe, store, case.step, place.build())
    found = objects_of(store)
    assert found.keys() == wanted.keys(), sorted(found.keys() ^ wanted.keys())
    assert not [path for path in found if found[path] != wanted[path]], "other bytes"
    again = Store(root)
    run_step(recipe, again, case.step, place.build())
    assert again.writes == 0, "a finished step wrote again"


def _quiet(place: Place) -> None:
    """Ray's driver tells every lost actor; the table is what counts here."""
    if place.executor == "ray":
        log = os.open(place.folder / "ray-driver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)


def run_matrix(reference: Reference, place: Place, cases: Sequence[Case]) -> int:
    """Run the cases, print a table; returns how many were not equal."""
    wrong: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for case in cases:
        started = time.monotonic()
        if problem := run_case(case, reference, place):
            wrong[case.key] = problem
            print(f"{case.key} ({case.where}): {problem}", flush=True)
        seconds[case.step] = seconds.get(case.step, 0.0) + time.monotonic() - started
    print(f"\n{place.storage}, {place.executor}\n{'stage':<10}{'boundaries':>11}{'kills':>7}{'equal':>7}{'seconds':>9}")
    for step in dict.fromkeys(case.step for case in cases):
        mine = [case for case in cases if case.step == step]
        equal = sum(case.key not in wrong for case in mine)
        count = len(reference.boundaries[step])
        print(f"{step:<10}{count:>11}{len(mine):>7}{equal:>7}{seconds[step]:>9.1f}")
    print(f"{'all':<10}{'':>11}{len(cases):>7}{len(cases) - len(wrong):>7}{sum(seconds.values()):>9.1f}", flush=True)
    return len(wrong)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", choices=("file", "s3"), default="file")
    parser.add_argument("--executor", choices=("local", "ray"), default="local")
    parser.add_argument("--steps", default=",".join(STEPS), help="separated by commas")
    parser.add_argument("--every", type=int, default=1, help="take every n-th case")
    parser.add_argument("--only", default="", help="cases whose names begin so, such as pretrain-03")
    parser.add_argument("--reference", type=Path, help="folder to keep the undisturbed run in, for the next call")
    arguments = parser.parse_args()
    for module in _MODULES:
        importlib.import_module(module)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        reference = Reference.make(arguments.reference or folder / "reference")
        if arguments.storage == "s3":
            _start_s3(folder, stack)
        if arguments.executor == "ray":
            _start_ray(folder, stack)
        place = Place(storage=arguments.storage, executor=arguments.executor, folder=folder)
        cases = list(cases_of(reference, arguments.steps.split(","), every=arguments.every))
        cases = [case for case in cases if case.key.startswith(arguments.only)]
        sys.exit(run_matrix(reference, place, cases) > 0)


def _start_s3(folder: Path, stack: ExitStack) -> None:
    server = S3Server(folder=folder / "s3", env=inherited_env(), log=folder / "s3.log")
    stack.callback(server.stop)
    # The client starts threads, after which this process could not be forked.
    assert in_child(functools.partial(server.wait, "faults")) == 0
    os.environ.update(server.client_env)


def _start_ray(folder: Path, stack: ExitStack) -> None:
    """A cluster of one node that lives as long as the matrix; every case joins it."""
    ready = folder / "ray-address"
    env = inherited_env() | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-m", "tests.faults.cluster", str(ready)]
    service = Service("Ray cluster", command, env=env, log=folder / "ray.log")
    stack.callback(service.stop)
    until = time.monotonic() + 120
    while not ready.exists():
        service.check()
        assert time.monotonic() < until, "Ray did not start"
        time.sleep(0.5)
    os.environ["RAY_ADDRESS"] = ready.read_text()


if __name__ == "__main__":
    main()
