"""The Python API: its examples run, and its answers are those of the parts that it stands on."""

from __future__ import annotations

import dataclasses
import doctest
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import videobert
from tests.query.rows import EMBED, MODEL, row_ids, unit_vectors, write_embeddings
from tests.small_root import BATCHES, SmallRoot
from videobert import api
from videobert.query.model import OpenModel, open_model
from videobert.runtime.pointer import Pointer, move_pointer, read_pointer
from videobert.runtime.storage import Store

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("module", [videobert, api])
def test_the_examples_of_the_docstrings_run(
    small_root: SmallRoot, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    monkeypatch.chdir(small_root.folder)
    failures, examples = doctest.testmod(module, optionflags=FLAGS, extraglobs={"root": videobert.open("demo")})
    assert failures == 0 and examples >= 3


def test_opening_a_root_loads_neither_torch_nor_a_table(tmp_path: Path) -> None:
    code = (
        f"import videobert, sys; assert 'pyarrow' not in sys.modules\nroot = videobert.open({str(tmp_path)!r})\n"
        "root.status(), root.models(), root.dead_letters(), root.current\n"
        "assert not {'torch', 'transformers', 'tokenizers', 'ray', 'airflow', 'av'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    for number, batch in enumerate("ab"):
        write_embeddings(store, batch, unit_vectors(20)[10 * number : 10 * number + 10])
    return store


@pytest.fixture
def root(store: Store) -> api.Root:
    return videobert.open(store.root)


def test_a_vector_of_any_length_is_taken_for_its_direction(root: api.Root) -> None:
    query = unit_vectors(1, seed=3)[0]
    expected = np.sort(unit_vectors(20) @ query)[::-1][:5]
    for given in (query, 7 * query.astype(np.float64), (7 * query).tolist()):
        np.testing.assert_allclose([hit.score for hit in root.search(vector=given)], expected, atol=1e-6)


@pytest.mark.parametrize("vector", [[1.0] * 7, [0.0] * 8, [float("nan")] * 8, ["a"] * 8, [[1.0] * 8], 1.0, []])
def test_what_is_no_vector_of_these_embeddings_is_refused(root: api.Root, vector: object) -> None:
    with pytest.raises(videobert.InputError, match="vector"):
        root.search(vector=vector)  # type: ignore[arg-type]


def test_a_row_is_found_in_any_batch_and_not_among_its_own_hits(root: api.Root) -> None:
    own = row_ids("b", 10)[3]
    hits = root.search(row=own, top=20, batches=["a"])
    assert len(hits) == 10 and {hit.batch for hit in hits} == {"a"}
    assert own not in {hit.row_id for hit in root.search(row=own, top=20)}
    assert hits == root.search(vector=unit_vectors(20)[13], top=20, batches=" a ,")


def test_a_question_is_one_of_text_row_and_vector(root: api.Root) -> None:
    questions: tuple[dict[str, Any], ...] = ({}, {"text": "stir", "row": "a"}, {"row": "a", "vector": [1.0] * 8})
    for question in questions:
        with pytest.raises(videobert.InputError, match="only one of them"):
            root.search(**question)
    with pytest.raises(videobert.InputError, match="rerank 5"):
        root.search(row=row_ids("b", 10)[3], rerank=5)


def test_batches_are_a_list_or_a_text(root: api.Root) -> None:
    assert root.embeddings(batches="a, b").count_rows() == root.embeddings(batches=["a", "b"]).count_rows() == 20
    with pytest.raises(videobert.InputError, match="batch c has no embeddings"):
        root.embeddings(batches="a,c")
    with pytest.raises(videobert.InputError, match=r"'\.\./a' is no key"):
        root.dead_letters(batches=["../a"])


def test_embeddings_are_an_arrow_dataset_of_the_promoted_model(root: api.Root, store: Store) -> None:
    rows = root.embeddings()
    table = rows.to_table(columns=["row_id", "model", "batch"], filter=pc.field("batch") == "b")
    assert table["row_id"].to_pylist() == row_ids("b", 10) and set(table["model"].to_pylist()) == {EMBED}
    assert rows.schema.field("embedding").type == pa.list_(pa.float32(), 8)
    move_pointer(
        store, Pointer(model_spec="pretrain-2", embed_spec="pretrain-2.abcd", report=""), former=read_pointer(store)
    )
    with pytest.raises(videobert.InputError, match=r"nothing is embedded with pretrain-2\.abcd"):
        root.embeddings()
    assert root.embeddings(MODEL).count_rows() == 20


def test_status_models_and_letters_of_a_whole_run(small_root: SmallRoot) -> None:
    root = videobert.open(small_root.root)
    states = {(state.stage, state.batch): state for state in root.status()}
    assert all(state.committed for state in states.values())
    assert {state.spec for state in states.values()} == set(small_root.specs.values())
    assert sum(states["ingest", batch].counts["videos"] for batch in BATCHES) == 6
    (model,) = root.models()
    assert (model.spec, model.step, model.batches) == (small_root.specs["pretrain"], 2, BATCHES)
    assert model.evaluations == 1 and model.gates == model.gates_held
    (embeddings,) = model.embeddings
    assert embeddings == api.EmbeddingsInfo(spec=small_root.specs["embed"], batches=BATCHES, current=True)
    assert root.current is not None and root.current.embed_spec == embeddings.spec
    letters = root.dead_letters()
    assert len(letters) == sum(state.counts["rejects"] for state in root.status() if state.batch) > 0
    assert [letter for letter in letters if letter.batch == BATCHES[0]] == root.dead_letters(batches=BATCHES[0])
    assert root.dead_letters(batches="2030-01-01") == []


def test_records_do_not_change(small_root: SmallRoot) -> None:
    root = videobert.open(small_root.root)
    records: list[Any] = [root.status()[0], root.models()[0], root.dead_letters()[0], root.current]
    for record in records:
        assert record is not None
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, dataclasses.fields(record)[0].name, "other")


def test_a_model_that_began_is_told(store: Store, root: api.Root) -> None:
    store.write("models/pretrain-9/step-0000001/_checkpoint.json", b"{}")
    assert api.ModelInfo(spec="pretrain-9", committed=False) in root.models()
    store.write(f"embeddings/model={EMBED}/batch=c/00000.parquet", b"")
    assert api.StageStatus(stage="embed", batch="c", spec=EMBED, committed=False) in root.status()


def test_sql_before_a_promotion_asks_the_catalog(store: Store, root: api.Root) -> None:
    store.delete(["models/current.json"])
    relation = root.sql("select count(*) from catalog")
    assert relation is not None and relation.fetchall() == [(2,)]
    with pytest.raises(videobert.InputError, match="no embeddings of 'x'"):
        root.sql("select count(*) from catalog", model="x")


def test_a_search_with_words_loads_the_model_once(small_root: SmallRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def counted(store: Store, spec: str) -> OpenModel:
        loads.append(spec)
        return open_model(store, spec)

    monkeypatch.setattr(api, "open_model", counted)
    root = videobert.open(small_root.root)
    hits = root.search("stir the egg", top=3)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True) and len(hits) == 3
    assert root.search("stir the egg", top=3, model=small_root.specs["embed"]) == hits
    ranked = root.search("stir the egg", top=3, rerank=50)
    assert all(0 < hit.score < 1 for hit in ranked)
    assert loads == [small_root.specs["pretrain"]]
    one_each = root.search("stir the egg", top=99, per_video=1)
    assert len(one_each) == len({hit.video_id for hit in one_each}) > 1
