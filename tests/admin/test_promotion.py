"""Promotion: gates hold, embeddings whole, one write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from videobert.admin.evaluations import find_reports, read_metrics, read_withdrawn, withdraw
from videobert.admin.promotion import promote, roll_back
from videobert.embed.stage import EMBED
from videobert.errors import InputError
from videobert.recipes import Recipe, demo
from videobert.runtime.corpus_commit import commit_files
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, Source, load_manifest, manifest_path, save_manifest
from videobert.runtime.pointer import Pointer, move_pointer, read_pointer
from videobert.runtime.storage import Store
from videobert.stages import get_stage

RECIPE: Recipe = demo()
OLD = Pointer(model_spec="pretrain-0", embed_spec="pretrain-0.aaaa", report="")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A root with an older model promoted and a new one trained on two batches."""
    store = Store(str(tmp_path))
    move_pointer(store, OLD, former=None)
    _train(store, "pretrain-1", "a", "b")
    return store


def _train(store: Store, spec: str, *batches: str) -> None:
    """A model and its codebook, whose features are gone: what is not embedded cannot be."""
    codebook = Manifest(
        stage="codebook", spec="codebook-1", batch="", config={}, outputs=(),
        sources=tuple(Source(stage="features", spec="features-1", batch=batch, digest="f") for batch in batches),
    )  # fmt: skip
    tokens = Source(stage="tokens", spec="tokens-1", batch=batches[0], digest="t")
    model = Manifest(
        stage="pretrain", spec=spec, batch="", config={}, sources=(codebook.as_source(), tokens), outputs=(),
        facts={"batches": list(batches)},
    )  # fmt: skip
    for manifest in (codebook, model):
        save_manifest(store, manifest)


def _spec(store: Store) -> str:
    model = load_manifest(store, "pretrain", "pretrain-1", "")
    assert model is not None
    return EMBED.spec(RECIPE.embed, {"pretrain": model.spec})


def _embed(store: Store, *batches: str) -> None:
    for batch in batches:
        save_manifest(store, Manifest(stage="embed", spec=_spec(store), batch=batch, config={}, sources=(), outputs=()))


def _embed_old(store: Store, *batches: str) -> None:
    for batch in batches:
        save_manifest(
            store, Manifest(stage="embed", spec=OLD.embed_spec, batch=batch, config={}, sources=(), outputs=())
        )


def _evaluate(store: Store, *, holds: bool, spec: str = "evaluate-1") -> None:
    gates: list[dict[str, Any]] = [{"gate": "R@10 over chance", "found": 4.0, "needed": 5.0, "holds": holds}]
    facts = {"model_spec": "pretrain-1", "passed": holds, "gates": gates}
    files = {"metrics.json": b'{"passed": true}', "report.html": b""}
    commit_files(Inputs(store=store), get_stage("evaluate"), spec, files, config={}, facts=facts)


def test_a_model_that_passes_is_promoted_once(store: Store) -> None:
    _evaluate(store, holds=True)
    _embed(store, "a", "b")
    assert promote(RECIPE, store, "pretrain-1").startswith("promoted pretrain-1")
    assert read_pointer(store) == Pointer(
        model_spec="pretrain-1", embed_spec=_spec(store), report="reports/evaluate-1", former=(OLD.embed_spec,)
    )
    writes = store.writes
    assert promote(RECIPE, store, "pretrain-1") == "pretrain-1 is promoted already" and store.writes == writes


def test_readers_keep_the_old_model_until_every_batch_is_embedded(store: Store) -> None:
    _evaluate(store, holds=True)
    _embed(store, "a")
    for force in (False, True):
        with pytest.raises(InputError, match=r"batches b are not embedded.*--promote pretrain-1"):
            promote(RECIPE, store, "pretrain-1", force=force)
    assert read_pointer(store) == OLD


def test_a_missed_gate_stops_it_unless_forced(store: Store) -> None:
    _evaluate(store, holds=False)
    _embed(store, "a", "b")
    with pytest.raises(InputError, match=r"R@10 over chance: 4.00 of 5.00"):
        promote(RECIPE, store, "pretrain-1")
    assert read_pointer(store) == OLD
    promote(RECIPE, store, "pretrain-1", force=True)
    pointer = read_pointer(store)
    assert pointer is not None and pointer.model_spec == "pretrain-1"


def test_an_unknown_or_unmeasured_model_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="not committed"):
        promote(RECIPE, store, "pretrain-9")
    with pytest.raises(InputError, match="no evaluation"):
        promote(RECIPE, store, "pretrain-1")


def test_the_report_of_a_model_is_found_among_others(store: Store) -> None:
    assert find_reports(store, "pretrain-1") == []
    _evaluate(store, holds=False)
    store.write(manifest_path(get_stage("evaluate"), "evaluate-2", "").replace("_manifest.json", "half.html"), b"")
    (report,) = find_reports(store, "pretrain-1")
    assert report.spec == "evaluate-1" and read_metrics(store, report) == {"passed": True}
    assert find_reports(store, "pretrain-2") == []


def test_a_second_evaluation_that_passes_does_not_undo_a_missed_gate(store: Store) -> None:
    _evaluate(store, holds=False)
    _evaluate(store, holds=True, spec="evaluate-2")
    _embed(store, "a", "b")
    with pytest.raises(InputError, match="misses"):
        promote(RECIPE, store, "pretrain-1")


def test_a_corrected_evaluation_lets_pass_what_an_over_strict_one_blocked(store: Store) -> None:
    _evaluate(store, holds=False)
    _embed(store, "a", "b")
    with pytest.raises(InputError, match="the only evaluation of pretrain-1"):
        withdraw(store, "evaluate-1", reason="it asked too much")
    _evaluate(store, holds=True, spec="evaluate-2")
    with pytest.raises(InputError, match=r"4.00 of 5.00 \(evaluate-1\).*--withdraw"):
        promote(RECIPE, store, "pretrain-1")
    for spec, reason, told in (("evaluate-9", "why not", "no evaluation"), ("evaluate-1", " ", "without a reason")):
        with pytest.raises(InputError, match=told):
            withdraw(store, spec, reason=reason)
    assert withdraw(store, "evaluate-1", reason="it asked 5 of 4 classes").startswith("evaluate-1 of pretrain-1 counts")
    assert read_withdrawn(store) == {"evaluate-1": "it asked 5 of 4 classes"}
    assert promote(RECIPE, store, "pretrain-1").startswith("promoted")
    pointer = read_pointer(store)
    assert pointer is not None and pointer.report == "reports/evaluate-2"
    with pytest.raises(InputError, match="the only evaluation"):
        withdraw(store, "evaluate-2", reason="the last one stays")


def test_a_batch_that_readers_have_today_is_not_taken_from_them(store: Store) -> None:
    _evaluate(store, holds=True)
    _embed(store, "a", "b")
    _embed_old(store, "a", "c")  # c came in while the new model was trained
    with pytest.raises(InputError, match=r"batches c are not embedded"):
        promote(RECIPE, store, "pretrain-1")
    assert read_pointer(store) == OLD
    _embed(store, "c")
    assert promote(RECIPE, store, "pretrain-1").startswith("promoted")


def test_a_rollback_returns_to_the_former_embeddings_in_one_write(store: Store) -> None:
    with pytest.raises(InputError, match="no former model"):
        roll_back(RECIPE, store)
    _train(store, "pretrain-0", "a")
    _evaluate(store, holds=True)
    _embed(store, "a", "b")
    promote(RECIPE, store, "pretrain-1")
    _embed_old(store, "a")
    with pytest.raises(InputError, match=r"batches b are not embedded with pretrain-0.*--promote pretrain-0"):
        roll_back(RECIPE, store)  # whose embeddings another recipe made
    _embed_old(store, "b")
    writes = store.writes
    assert roll_back(RECIPE, store).startswith("rolled back to pretrain-0") and store.writes == writes + 1
    assert read_pointer(store) == OLD
    with pytest.raises(InputError, match="no former model"):
        roll_back(RECIPE, store)
