"""REST over a whole run: the answers are those of the Python API."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

import videobert
from tests.query import rows
from tests.query.silent import copy_half_silent, is_silent
from tests.serve.conftest import TOKEN, serving
from tests.serve.frames import frames
from tests.serve.predictions import write_predictions
from tests.small_root import BATCHES, SmallRoot
from videobert.query.filters import Captions
from videobert.query.model import open_model
from videobert.runtime.manifest import MANIFEST_NAME, load_manifest
from videobert.runtime.pointer import Pointer, move_pointer, read_pointer
from videobert.runtime.storage import Store
from videobert.serve.options import ServeOptions
from videobert.visualization.show import find_segment, forecast


def hits(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [found["hit"] for found in answer.json()["hits"]]


def test_a_search_finds_what_the_python_api_finds(client: httpx.Client, small_root: SmallRoot) -> None:
    root = videobert.open(small_root.root)
    expected = [dataclasses.asdict(hit) for hit in root.search("stir the egg", top=6)]
    assert hits(client.get("/api/v1/search", params={"text": "stir the egg", "top": 6})) == expected
    pages = [client.get("/api/v1/search", params={"text": "stir the egg", "top": 2, "offset": n}) for n in (0, 2, 4)]
    assert [hit for page in pages for hit in hits(page)] == expected
    assert [page.json()["next_offset"] for page in pages[:2]] == [2, 4]
    words = [dataclasses.asdict(hit) for hit in root.search("the egg", top=4, by="both")]
    assert hits(client.get("/api/v1/search", params={"text": "the egg", "top": 4, "by": "both"})) == words
    own = expected[0]["row_id"]
    like = [dataclasses.asdict(hit) for hit in root.search(row=own, top=3, batches=BATCHES[:1], from_seconds=2)]
    given = {"row": own, "top": 3, "batch": BATCHES[0], "from": 2}
    assert hits(client.get("/api/v1/search", params=given)) == like
    vector = root.embeddings().to_table(columns=["embedding"])["embedding"][0].as_py()
    assert hits(client.post("/api/v1/search/vector", json=vector)) == [
        dataclasses.asdict(hit) for hit in root.search(vector=vector, top=12)
    ]


def test_labels_narrow_a_search_and_are_told_of_a_row(small_root: SmallRoot, tmp_path: Path) -> None:
    shutil.copytree(small_root.root, tmp_path / "demo")
    root, store = videobert.open(str(tmp_path / "demo")), Store(str(tmp_path / "demo"))
    write_predictions(store, small_root.specs["embed"], lambda row: f"part {row['segment'] % 2}")
    found = root.search("stir the egg", top=99)
    odd = [hit for hit in found if int(hit.row_id.partition(":")[2]) % 2]
    assert 0 < len(odd) < len(found) and root.search("stir the egg", top=99, label="part 1") == odd
    words = {hit.row_id for hit in root.search("stir the egg", top=99, label="part 1", by="words")}
    assert words and words <= {hit.row_id for hit in odd}
    with serving(store.root) as client:
        asked: dict[str, Any] = {"text": "stir the egg", "top": 99, "label": "part 1"}
        assert hits(client.get("/api/v1/search", params=asked)) == [dataclasses.asdict(hit) for hit in odd]
        assert client.get("/api/v1/labels").json() == ["part 0", "part 1"]
        told = client.get(f"/api/v1/rows/{odd[0].row_id}/predictions").json()
        assert ("part 1", 0.75) in {(one["label"], one["score"]) for one in told if one["row_id"] == odd[0].row_id}
        refused = client.get("/api/v1/search", params=asked | {"label": "none"})
        assert refused.status_code == 400 and "there are part 0, part 1" in refused.json()["error"]


def test_a_search_is_narrowed_to_rows_with_or_without_a_text(
    small_root: SmallRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = videobert.open(copy_half_silent(small_root, tmp_path / "demo"))
    monkeypatch.setenv("VIDEOBERT_TOKEN", TOKEN)
    every = root.search("stir the egg", top=99)
    with serving(root.url) as client:
        remote = videobert.open(str(client.base_url))
        for captions in get_args(Captions):
            kept = [hit for hit in every if captions == "any" or is_silent(hit.row_id) == (captions == "without")]
            asked = {"text": "stir the egg", "top": 99, "captions": captions}
            assert hits(client.get("/api/v1/search", params=asked)) == [dataclasses.asdict(hit) for hit in kept]
            assert remote.search("stir the egg", top=99, captions=captions) == kept
            vector = client.post("/api/v1/search/vector", json=root.encode("egg").tolist(), params=asked | {"text": ""})
            assert {hit["row_id"] for hit in hits(vector)} == {hit.row_id for hit in kept}
        assert client.get("/api/v1/search", params={"text": "egg", "captions": "some"}).status_code == 422


def test_two_models_answer_the_same_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, specs = Store(str(tmp_path)), ["pretrain-1.abcd", "pretrain-2.abcd"]
    for number, spec in enumerate(specs):
        monkeypatch.setitem(rows._CHAIN, "embed", spec)
        rows.write_embeddings(store, "ab"[number], rows.unit_vectors(40, seed=0))
    row = rows.row_ids("a", 1)[0]
    with serving(store.root) as client:
        asked: dict[str, Any] = {"row": row, "model": specs[0], "other": specs[0], "top": 5}
        same = client.get("/api/v1/search/compare", params=asked).json()
        assert same["shared"] == 5 and [side["model"] for side in same["sides"]] == [specs[0], specs[0]]
        lacks = client.get("/api/v1/search/compare", params=asked | {"other": specs[1]}).json()
        assert lacks["shared"] == 0 and lacks["sides"][1]["page"] is None and row in lacks["sides"][1]["error"]
        assert client.get("/api/v1/search/compare", params={"row": row, "model": specs[0]}).status_code == 400


def test_a_row_has_visual_tokens_and_a_forecast_with_pictures(client: httpx.Client, small_root: SmallRoot) -> None:
    own = videobert.open(small_root.root).search("stir the egg", top=1)[0]
    told = client.get(f"/api/v1/rows/{own.row_id}/tokens").json()
    clips = told["clips"][told["first"] : told["last"]]
    assert (clips[0]["start_seconds"], clips[-1]["end_seconds"]) == (own.start_seconds, own.end_seconds)
    strips = client.get(f"/api/v1/rows/{own.row_id}/forecast?horizon=2&top=3").json()
    assert [cell["leaf"] for cell in strips[0]["cells"]] == [clip["leaf"] for clip in clips]
    opened = open_model(Store(small_root.root))
    ours = forecast(opened, find_segment(opened, own.row_id), horizon=2, top=3)
    assert [[cell["caption"] for cell in s["cells"]] for s in strips] == [[c.caption for c in s.cells] for s in ours]
    leaf = strips[1]["cells"][0]["leaf"]
    picture = client.get(f"/api/v1/tokens/{leaf}/picture.jpg")
    assert picture.headers["content-type"] == "image/jpeg" and frames(picture.content)[0][1].shape[1] == 128
    assert client.get("/api/v1/tokens/99999/picture.jpg").status_code == 400


def test_the_last_page_says_so(client: httpx.Client) -> None:
    answer = client.get("/api/v1/search", params={"text": "egg", "top": 200})
    assert answer.json()["next_offset"] is None and len(hits(answer)) > 6


def test_a_row_tells_where_it_comes_from(client: httpx.Client, small_root: SmallRoot) -> None:
    root = videobert.open(small_root.root)
    own = root.search("stir the egg", top=1)[0]
    page = client.get(f"/api/v1/rows/{own.row_id}").json()
    lineage = root.lineage(own.row_id)
    assert page["row"]["text"] == own.text and page["row"]["batch"] == own.batch
    assert [step["url"] for step in page["lineage"]] == [step.url for step in lineage.steps]
    assert client.get(f"/api/v1/rows/{own.row_id}/lineage").json()["source_uri"] == own.source_uri
    near = hits(client.get(f"/api/v1/rows/{own.row_id}/neighbours?top=3"))
    assert len(near) == 3 and own.row_id not in {hit["row_id"] for hit in near}
    segments = client.get(f"/api/v1/videos/{own.video_id}").json()
    assert own.row_id in {row["row_id"] for row in segments}
    assert [s["start_seconds"] for s in segments] == sorted(s["start_seconds"] for s in segments)


def test_the_matrix_says_how_long_a_stage_wrote_and_what_that_is(small_root: SmallRoot, tmp_path: Path) -> None:
    shutil.copytree(small_root.root, tmp_path / "demo")
    spec, batch = small_root.specs["features"], BATCHES[0]
    manifest = load_manifest(Store(str(tmp_path / "demo")), "features", spec, batch)
    assert manifest is not None
    folder = (tmp_path / "demo" / manifest.outputs[0].path).parent
    begun, ended = 1_767_225_600, 1_767_225_600 + 200
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        os.utime(path, (begun, ended if path.name == MANIFEST_NAME else begun))
    with serving(str(tmp_path / "demo")) as client:
        matrix = client.get("/api/v1/batches").json()
        cell = next(row["cells"][f"features {spec}"] for row in matrix["rows"] if row["batch"] == batch)
        assert (cell["seconds"], cell["committed_at"]) == (200, "2026-01-01T00:03:20+00:00")
        page = client.get("/batches").text
        told = re.search(
            r'>2026-01-01 00:03</time>, <span title="from the writing of its first file [^"]*">3:20<', page
        )
        assert told, page
        assert f"<li>{cell['counts']['clips']:,} clips</li>" in page


def test_batches_letters_models_and_reports(client: httpx.Client, small_root: SmallRoot) -> None:
    matrix = client.get("/api/v1/batches").json()
    assert [row["batch"] for row in matrix["rows"]] == sorted(BATCHES, reverse=True)
    assert [stage for stage, _ in matrix["columns"]] == ["ingest", "shard", "features", "tokens", "embed"]
    cell = matrix["rows"][0]["cells"][f"ingest {small_root.specs['ingest']}"]
    assert cell["committed"] and cell["counts"]["videos"] == 3
    when = datetime.fromisoformat(cell["committed_at"])
    assert when.tzinfo is not None and timedelta(0) < datetime.now(UTC) - when < timedelta(hours=3)
    assert 0 < sum(cell["seconds"] for row in matrix["rows"] for cell in row["cells"].values()) < 3600
    letters = client.get("/api/v1/dead-letters").json()
    by_reason = {(r["stage"], r["reason"]): r["videos"] for r in client.get("/api/v1/dead-letters/reasons").json()}
    assert sum(by_reason.values()) == len(letters) == len(videobert.open(small_root.root).dead_letters())
    empty = client.get("/api/v1/dead-letters?reason=empty").json()
    assert len(empty) == by_reason["ingest", "empty"] and {letter["reason"] for letter in empty} == {"empty"}
    (model,) = client.get("/api/v1/models").json()
    assert model["spec"] == client.get("/api/v1/current").json()["model_spec"]
    curve = client.get(f"/api/v1/models/{model['spec']}/curve").json()
    assert [record["step"] for record in curve] == [1, 2] and "polyline" in client.get("/models").text
    (report,) = client.get(f"/api/v1/models/{model['spec']}/reports").json()
    page = client.get(f"/api/v1/models/{model['spec']}/reports/{report['report']}.html")
    assert "<h1>VideoBERT" in page.text and "sandbox" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/rows/none:1", 404),
        ("/api/v1/videos/none", 404),
        ("/api/v1/rows/none:1/video", 404),
        ("/api/v1/rows/..%2f..%2fmodels%2fcurrent.json/video", 404),
        ("/api/v1/rows/a b", 422),
        ("/api/v1/rows/x'; drop table embeddings--", 422),
        ("/api/v1/search?text=egg&model=../../models", 422),
        ("/api/v1/search?text=egg&model=none", 400),
        ("/api/v1/search?text=egg&batch=../a", 400),
        ("/api/v1/search?text=egg&batch=2030-01-01", 400),
        ("/api/v1/search?text=egg&top=0", 422),
        ("/api/v1/search?text=egg&from=nan", 422),
        ("/api/v1/search?text=egg&top=200&offset=99999", 400),
        ("/api/v1/search", 400),
        ("/api/v1/search?text=...&rerank=-1", 422),
        ("/api/v1/models/evaluate/reports/..%2f..%2fx.html", 404),
        ("/api/v1/models/none/reports/none.html", 404),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert "Traceback" not in answer.text and answer.headers["content-type"] == "application/json"


def test_a_promotion_is_seen_and_no_answer_mixes_two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pointer goes back and forth while clients search; each answer's scores are those of the model it names."""
    store, scores = Store(str(tmp_path)), {}
    pointers = [Pointer(model_spec=f"pretrain-{n}", embed_spec=f"pretrain-{n}.abcd", report="") for n in (1, 2)]
    for number, pointer in enumerate(pointers):
        monkeypatch.setitem(rows._CHAIN, "embed", pointer.embed_spec)
        vectors_ND = rows.unit_vectors(40, seed=number)
        rows.write_embeddings(store, "a", vectors_ND)
        scores[pointer.embed_spec] = sorted((vectors_ND[1:] @ vectors_ND[0]).tolist(), reverse=True)[:12]
    with serving(store.root, ServeOptions(fresh_seconds=0.01, rate=1e6, burst=10**6)) as client:
        ended, seen = threading.Event(), set()

        def turn() -> None:
            while not ended.is_set():
                for pointer in pointers:
                    move_pointer(store, pointer, former=read_pointer(store))
                    ended.wait(0.02)

        turning = threading.Thread(target=turn)
        turning.start()
        try:
            for _ in range(60):
                answer = client.get("/api/v1/search", params={"row": rows.row_ids("a", 1)[0]})
                spec = answer.json()["model"]
                seen.add(spec)
                assert [hit["score"] for hit in hits(answer)] == pytest.approx(scores[spec], abs=1e-5)
        finally:
            ended.set()
            turning.join()
    assert seen == set(scores)


def test_a_root_that_goes_away_is_a_sentence_and_not_ready(small_root: SmallRoot, tmp_path: Path) -> None:
    shutil.copytree(small_root.root, tmp_path / "demo")
    with serving(str(tmp_path / "demo"), ServeOptions(fresh_seconds=0.001)) as client:
        own = hits(client.get("/api/v1/search", params={"text": "egg", "top": 1}))[0]["row_id"]
        assert client.get(f"/api/v1/rows/{own}/video").status_code == 200
        shutil.rmtree(tmp_path / "demo" / "shards")
        gone = client.get(f"/api/v1/rows/{own}/video")
        assert gone.status_code == 400 and "gone" in gone.json()["error"]
        shutil.rmtree(tmp_path / "demo")
        assert client.get("/readyz").status_code == 503
        assert client.get("/api/v1/search", params={"text": "egg"}).status_code == 400
