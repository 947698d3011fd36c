"""No run that ends well leaves its batch invisible to readers, whatever runs at the same time.

While a model is promoted, or rolled back, the features of another batch are committed and `videobert_embed` embeds it.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.admin.turns import TurnStore, take_turns
from tests.admin.two_models import KNOWN, LATE, TwoModels, embed, make_two_models
from tests.small_root import SmallRoot
from videobert.admin.coverage import find_missing
from videobert.admin.promoted import run_with_promoted
from videobert.admin.promotion import promote, roll_back
from videobert.embed.config import EmbedConfig
from videobert.errors import ConflictError, InputError, PipelineError
from videobert.flow import run_stage
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.inputs import Share
from videobert.runtime.manifest import load_manifest
from videobert.runtime.pointer import read_pointer
from videobert.runtime.storage import Store

_MOST_TURNS = 200
Work = Callable[[TwoModels, Callable[[], None]], None]


@pytest.fixture(scope="module")
def two(small_root: SmallRoot, tmp_path_factory: pytest.TempPathFactory) -> TwoModels:
    return make_two_models(small_root, tmp_path_factory.mktemp("two"))


def invisible(two: TwoModels) -> list[str]:
    """Batches that readers miss now."""
    store = Store(str(two.root))
    pointer = read_pointer(store)
    assert pointer is not None
    model = load_manifest(store, "pretrain", pointer.model_spec, "")
    assert model is not None
    return find_missing(store, model, pointer.embed_spec, readable=())


def come_in(two: TwoModels, wait: Callable[[], None]) -> None:
    """The batch: its features, and then the runs that they start."""
    two.ingest()
    wait()
    embed(two, TurnStore(str(two.root), wait))


def turn(two: TwoModels, wait: Callable[[], None]) -> None:
    promote(two.recipe, TurnStore(str(two.root), wait), two.new, force=True, executor=LocalExecutor())


def turn_and_back(two: TwoModels, wait: Callable[[], None]) -> None:
    turn(two, wait)
    wait()
    roll_back(two.recipe, TurnStore(str(two.root), wait), executor=LocalExecutor())


class Counting:
    """A piece of work, and how often it waited for its turn."""

    def __init__(self, work: Callable[[Callable[[], None]], None]) -> None:
        self._work, self.waited = work, 0

    def __call__(self, wait: Callable[[], None]) -> None:
        def waiting() -> None:
            self.waited += 1
            wait()

        self._work(waiting)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "other"), [(come_in, turn), (come_in, turn_and_back), (turn_and_back, come_in)])
def test_whatever_comes_in_between(two: TwoModels, first: Work, other: Work) -> None:
    """The one is interrupted at each of its requests by the whole of the other."""
    turns = 0
    done = False
    while not done:
        two.reset()
        interrupted = Counting(partial(first, two))
        assert take_turns([interrupted, partial(other, two)], [0] * turns + [1] * _MOST_TURNS) == [None, None]
        assert invisible(two) == [], f"after {turns} turns"
        done = interrupted.waited < turns
        turns += 1
    assert turns > 10


class Died(Exception):
    """Stands for SIGKILL in a thread."""


class DyingStore(TurnStore):
    """Whoever moves the pointer over it dies right after."""

    def commit(self, path: str, data: bytes, *, former: bytes | None) -> None:
        super().commit(path, data, former=former)
        if path == "models/current.json":
            raise Died


def turn_and_die(two: TwoModels, wait: Callable[[], None]) -> None:
    promote(two.recipe, DyingStore(str(two.root), wait), two.new, force=True, executor=LocalExecutor())


@pytest.mark.slow
def test_a_run_that_ends_after_the_move_of_a_promotion_that_died_is_visible(two: TwoModels) -> None:
    """Between its last look and its move the batch comes in; nobody but the run itself can still embed it."""
    two.reset()
    alone = Counting(partial(turn_and_die, two))
    (death,) = take_turns([alone], [])
    assert isinstance(death, Died)
    turns, ended_before = 0, False
    while not ended_before:
        two.reset()
        late = Counting(partial(come_in, two))
        order = [1] * alone.waited + [0] * turns + [1] + [0] * _MOST_TURNS
        raised = take_turns([late, partial(turn_and_die, two)], order)
        assert raised[0] is None and isinstance(raised[1], Died)
        ended_before = late.waited < turns
        assert ended_before or invisible(two) == [], f"after {turns} turns"
        turns += 1
    assert turns > 5


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from((turn, turn_and_back)), st.lists(st.integers(0, 40), min_size=1, max_size=7))
def test_in_any_interleaving(two: TwoModels, mover: Work, runs: Sequence[int]) -> None:
    """By turns so many requests of the one and so many of the other: single ones in any order hardly ever let the one
    do much of its work between two requests of the other."""
    order = [number % 2 for number, turns in enumerate(runs) for _ in range(turns)]
    two.reset()
    assert take_turns([partial(come_in, two), partial(mover, two)], order) == [None, None]
    assert invisible(two) == []


class HeldStore(Store):
    """Stops once at each of some places, until it is let go on: before or after a commit of embeddings or pointer."""

    def __init__(self, root: str, barrier: Path, *places: str) -> None:
        super().__init__(root)
        self._barrier = barrier
        self._places = set(places)

    def __reduce__(self) -> tuple[type[HeldStore], tuple[object, ...]]:  # type: ignore[override]
        return HeldStore, (self.root, self._barrier, *self._places)

    def _put(self, path: str, data: bytes, **condition: str) -> None:
        kind = "pointer" if path == "models/current.json" else "commit" if "embeddings/" in path else ""
        if kind and path.endswith(".json"):
            self._hold(f"before-{kind}")
        super()._put(path, data, **condition)
        if kind == "pointer":
            self._hold(f"after-{kind}")

    def _hold(self, place: str) -> None:
        if place not in self._places:
            return
        self._places.remove(place)
        (self._barrier / place).touch()
        while (self._barrier / place).exists():
            time.sleep(0.02)


def wait_at(barrier: Path, place: str, process: multiprocessing.process.BaseProcess) -> None:
    until = time.monotonic() + 120
    while not (barrier / place).exists():
        assert process.is_alive() and time.monotonic() < until, f"never came to {place}"
        time.sleep(0.02)


def held(
    work: Callable[[TwoModels, Store], object], two: TwoModels, barrier: Path, *places: str
) -> multiprocessing.process.BaseProcess:
    """A process of its own that does the work over a store that holds it."""
    arguments = (two, HeldStore(str(two.root), barrier, *places))
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    return process


def promote_new(two: TwoModels, store: Store) -> str:
    return promote(two.recipe, store, two.new, force=True, executor=LocalExecutor())


@pytest.mark.slow
def test_a_run_held_at_its_commit_embeds_again_once_readers_have_turned(two: TwoModels, tmp_path: Path) -> None:
    two.reset()
    two.ingest()
    process = held(embed, two, tmp_path, "before-commit")
    wait_at(tmp_path, "before-commit", process)
    assert promote_new(two, Store(str(two.root))).startswith("promoted")
    (tmp_path / "before-commit").unlink()
    process.join(120)
    assert process.exitcode == 0 and invisible(two) == []


@pytest.mark.slow
def test_a_promotion_killed_after_its_move_is_made_whole_by_its_next_try(two: TwoModels, tmp_path: Path) -> None:
    """It is held between its look and its move, while a whole batch comes in and is embedded with the old model."""
    two.reset()
    process = held(promote_new, two, tmp_path, "before-pointer", "after-pointer")
    wait_at(tmp_path, "before-pointer", process)
    two.ingest()
    embed(two, Store(str(two.root)))
    assert invisible(two) == []
    (tmp_path / "before-pointer").unlink()
    wait_at(tmp_path, "after-pointer", process)
    process.kill()
    process.join()
    assert invisible(two) == [LATE]  # readers turned; the run is red
    assert "promoted already" in promote_new(two, Store(str(two.root))) and invisible(two) == []


def test_data_that_comes_in_during_a_training_is_embedded_by_its_promotion(two: TwoModels) -> None:
    two.reset()
    two.ingest()
    embed(two, Store(str(two.root)))
    assert promote_new(two, Store(str(two.root))).startswith("promoted") and invisible(two) == []


@pytest.fixture
def changing(two: TwoModels, small_root: SmallRoot, tmp_path: Path) -> tuple[TwoModels, Callable[[str], None]]:
    """The late batch has come in, and `ingest` has run again, since a video was replaced; and what runs a stage."""
    two.reset()
    shutil.copytree(two.folder, tmp_path / "two")
    shutil.copytree(small_root.folder / "corpus/videos" / LATE, tmp_path / "videos" / LATE)
    for folder in [f for f in (tmp_path / "two/root").rglob(f"batch={LATE}") if "tokens" not in f.parts]:
        shutil.rmtree(folder)
    ingest = dataclasses.replace(two.recipe.ingest, source=f"{tmp_path}/videos/{{batch}}")
    changed = dataclasses.replace(two, folder=tmp_path / "two", recipe=dataclasses.replace(two.recipe, ingest=ingest))
    store = Store(str(changed.root))

    def run(name: str) -> None:
        run_stage(
            changed.recipe, store, name, batches=(LATE,), selection=Selection(), executor=LocalExecutor()
        )  # fmt: skip

    for name in ("ingest", "shard", "features"):
        run(name)
    other = small_root.folder / "corpus/videos" / KNOWN / "kitchen-00002.mp4"
    shutil.copy(other, tmp_path / "videos" / LATE / other.name)
    run("ingest")
    return changed, run


@pytest.mark.slow
def test_a_batch_in_which_a_video_is_just_replaced_is_waited_for(
    changing: tuple[TwoModels, Callable[[str], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    two, run = changing
    coming = [lambda: run("shard"), lambda: run("features")]
    monkeypatch.setattr("videobert.admin.promotion.time.sleep", lambda _: coming.pop(0)())
    assert promote_new(two, Store(str(two.root))).startswith("promoted")
    assert coming == [] and invisible(two) == []


@pytest.mark.slow
def test_a_batch_that_stays_half_changed_ends_in_a_sentence_and_is_tried_again(
    changing: tuple[TwoModels, Callable[[str], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    two, _ = changing
    pauses: list[float] = []
    monkeypatch.setattr("videobert.admin.promotion.time.sleep", pauses.append)
    with pytest.raises(ConflictError, match=f"the catalog of batch '{LATE}' knows 1 videos of its features no longer"):
        promote_new(two, Store(str(two.root)))
    pointer = read_pointer(Store(str(two.root)))
    assert len(pauses) == 5 and pointer is not None and pointer.model_spec == two.old


def test_features_made_anew_are_embedded_anew(two: TwoModels) -> None:
    """Present under the new model, but as of older features: readers would lose what the newer ones hold."""
    two.reset()
    two.ingest()
    store = Store(str(two.root))
    promote_new(two, store)
    path = two.root / "features" / two.features / f"batch={LATE}" / "_manifest.json"
    manifest = json.loads(path.read_bytes())
    path.write_text(json.dumps(manifest | {"facts": manifest["facts"] | {"anew": True}}))
    assert invisible(two) == [LATE]
    assert roll_back(two.recipe, store, executor=LocalExecutor()).startswith("rolled back") and invisible(two) == []


def test_batches_that_come_in_for_ever_end_in_one_sentence(two: TwoModels, monkeypatch: pytest.MonkeyPatch) -> None:
    two.reset()
    monkeypatch.setattr("videobert.admin.promotion.find_missing", lambda *_, **__: ["2026-01-01"])
    with pytest.raises(PipelineError, match=r"batches came in 6 times.*run this again"):
        promote_new(two, Store(str(two.root)))


def test_a_run_whose_embeddings_nobody_would_see_is_refused(two: TwoModels) -> None:
    two.reset()
    two.ingest()
    other = dataclasses.replace(two.recipe, embed=EmbedConfig(pool="cls"))
    with pytest.raises(InputError, match=r"which nobody would see; turn readers with `videobert models --promote"):
        run_with_promoted(
            other, Store(str(two.root)), "embed", batches=(LATE,), executor=LocalExecutor(), share=Share()
        )
