"""The page of what applications wrote, and its twin below `/api/v1`: any table, next to the rows that it names."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import pyarrow.parquet as pq
import pytest

import videobert
from tests.serve.conftest import serving
from tests.serve.hostile_root import HOSTILE, write_hostile_root
from tests.serve.lines import lines_of, run_python
from tests.serve.tables import WrittenFlag, write_table
from tests.small_root import BATCHES, SmallRoot
from videobert.cli.main import main
from videobert.query.application_tables import TableQuery
from videobert.runtime.record_files import NONE, write_records
from videobert.runtime.storage import Store
from videobert.runtime.tombstones import write_tombstone
from videobert.serve.fresh import FreshRoot
from videobert.serve.options import ServeOptions
from videobert.serve.written import Written

RULES = '[[rule]]\nname = "eggs"\nwords = ["the", "egg"]\n'
GONE, FORGOTTEN = "0" * 64, "f" * 64


@pytest.fixture(scope="module")
def root(small_root: SmallRoot, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The finished run, from which a video was forgotten."""
    folder = tmp_path_factory.mktemp("root") / "demo"
    shutil.copytree(small_root.root, folder)
    write_tombstone(Store(str(folder)), FORGOTTEN, [BATCHES[0]])
    return str(folder)


@pytest.fixture(scope="module")
def folder(root: str, small_root: SmallRoot, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What three commands wrote, and a table of an application that nobody has."""
    folder = tmp_path_factory.mktemp("applications")
    (folder / "rules.toml").write_text(RULES)
    videos = dict.fromkeys(hit.video_id for hit in videobert.open(root).search("egg", top=50))
    views = [json.dumps({"person": f"p{n % 3}", "video_id": video}) for n, video in enumerate(videos)]
    (folder / "views.jsonl").write_text("\n".join(views))
    batch = ["--root", root, "--batch", BATCHES[0], "--out"]
    main(["moderate", *batch, f"{folder}/moderate/{BATCHES[0]}.parquet", "--rules", f"{folder}/rules.toml"])
    main(["anomalies", *batch, f"{folder}/anomalies/{BATCHES[0]}.parquet", "--per-hour", "1000", "--every"])
    main(["recommend", *batch, f"{folder}/recommend/{BATCHES[0]}.parquet", "--history", f"{folder}/views.jsonl"])
    row_id, spec = videobert.open(root).search("egg", top=1)[0].row_id, small_root.specs["embed"]
    write_table(str(folder), "best-of", "a", [
        WrittenFlag(row_id=row_id, model=spec, kind="good", verdict="yes", near=row_id),
        WrittenFlag(row_id=row_id, model="pretrain-gone.abcd", kind="old", text="of a model that is gone"),
        WrittenFlag(row_id=f"{GONE}:1", model=spec, kind="away", text="of no video here"),
        WrittenFlag(row_id=f"{FORGOTTEN}:1", model=spec, kind="secret", text="to be forgotten", title="secret"),
        WrittenFlag(row_id="../../models", model="../../models", kind="strange"),
    ])  # fmt: skip
    (folder / "best-of" / "broken.parquet").write_bytes(b"no table")
    return str(folder)


@pytest.fixture(scope="module")
def client(root: str, folder: str) -> Iterator[httpx.Client]:
    with serving(root, ServeOptions(applications=folder)) as client:
        yield client


def test_every_table_is_listed_with_its_rows_and_model(
    client: httpx.Client, small_root: SmallRoot, folder: str
) -> None:
    told = client.get("/api/v1/applications").json()
    found = {(one["application"], one["table"]): one for one in told["tables"]}
    day = BATCHES[0]
    ours = ("anomalies", "moderate", "recommend")
    assert set(found) == {*((name, day) for name in ours), ("best-of", "a"), ("best-of", "broken")}
    for name in ours:
        one = found[name, day]
        rows = pq.read_metadata(f"{folder}/{name}/{day}.parquet").num_rows
        assert rows > 0 and (one["rows"], one["models"]) == (rows, [small_root.specs["embed"]])
    assert "no readable Parquet" in found["best-of", "broken"]["error"]
    assert told["about"]["recommend"].startswith("Recommend videos") and told["about"]["best-of"] == ""
    page = client.get("/applications").text
    assert f'href="/applications/moderate/{day}"' in page and "5 of 5 tables" in page
    assert 'href="/applications" aria-current="page"' in page


def test_a_queue_shows_pictures_reasons_and_what_was_judged(client: httpx.Client, folder: str) -> None:
    path = f"moderate/{BATCHES[0]}"
    queue = pq.read_table(f"{folder}/{path}.parquet").to_pylist()
    told = client.get(f"/api/v1/applications/{path}?top=3").json()
    assert [one["values"] for one in told["rows"]] == queue[:3]
    assert (told["total"], told["verdicts"], told["next_offset"]) == (len(queue), {"": len(queue)}, 3)
    one = told["rows"][0]
    assert one["row"]["row_id"] == queue[0]["row_id"] and one["row"]["text"] == queue[0]["text"]
    assert client.get(one["links"]["picture"]).headers["content-type"] == "image/jpeg"
    page = html.unescape(client.get(f"/applications/{path}?top=3").text)
    assert one["links"]["picture"] in page and queue[0]["evidence"] in page and page.count("not judged yet") == 4
    assert f'href="/rows/{quote(queue[0]["row_id"])}?model={one["model"]}"' in page
    assert f'href="/rows/{one["video_row_id"]}?model={one["model"]}">whole video' in page
    assert client.get(f"/rows/{one['video_row_id']}?model={one['model']}").status_code == 200


def test_recommendations_and_anomalies_are_shown_by_the_same_page(client: httpx.Client, folder: str) -> None:
    path = f"recommend/{BATCHES[0]}"
    lists = pq.read_table(f"{folder}/{path}.parquet").to_pylist()
    told = client.get(f"/api/v1/applications/{path}", params={"column": "person", "value": "p1"}).json()
    assert [one["values"] for one in told["rows"]] == [row for row in lists if row["person"] == "p1"]
    assert {one["row"]["level"] for one in told["rows"]} == {"video"} and told["verdicts"] == {}
    page = client.get(f"/applications/{path}").text
    assert re.search(r"<dt>person</dt><dd><bdi>p0</bdi>", page) and "<dt>rank</dt>" in page
    path = f"anomalies/{BATCHES[0]}"
    told = client.get(f"/api/v1/applications/{path}", params={"sort": "-distance", "top": 200}).json()
    distances = [one["values"]["distance"] for one in told["rows"]]
    assert distances == sorted(distances, reverse=True) and len(set(distances)) > 3
    page = client.get(f"/applications/{path}", params={"sort": "-distance"}).text
    nearest = told["rows"][0]["values"]["nearest"]
    assert re.search(rf'<dt>nearest</dt><dd><a href="/rows/{quote(nearest)}\?model=', page), "what is named is linked"
    assert "<dt>surprise</dt>" not in page, "-1 says that nobody asked"


def test_pages_together_are_the_table(client: httpx.Client, folder: str) -> None:
    queue = pq.read_table(f"{folder}/moderate/{BATCHES[0]}.parquet")["row_id"].to_pylist()
    path: str | None = f"/applications/moderate/{BATCHES[0]}?top=4&sort=row_id"
    found: list[str] = []
    while path:
        page = client.get(path).text
        found += re.findall(r'class="copy" data-copy="([0-9a-f]{64}:\d+)"', page)
        later = re.search(r'rel="next" href="([^"]*)"', page)
        path = f"/applications/moderate/{BATCHES[0]}{html.unescape(later[1])}" if later else None
    assert found == sorted(queue) and len(found) > 8


def test_a_table_of_an_unknown_application_needs_no_change_of_the_page(
    client: httpx.Client, small_root: SmallRoot
) -> None:
    rows = client.get("/api/v1/applications/best-of/a").json()["rows"]
    assert [bool(one["row"]) for one in rows] == [True, False, False, False, False]
    assert rows[0]["values"]["near"] == rows[0]["row"]["row_id"]
    page = client.get("/applications/best-of/a").text
    assert "<dt>kind</dt><dd><bdi>good</bdi>" in page and "<dt>strength</dt><dd>0.5" in page
    assert '<span class="badge">yes</span>' in page and page.count('<p class="none">not among these embeddings') == 3
    assert "of a model that is gone" in page and "of no video here" in page


def test_of_a_forgotten_video_nothing_but_its_id_is_told(client: httpx.Client) -> None:
    answer = client.get("/api/v1/applications/best-of/a")
    (one,) = [one for one in answer.json()["rows"] if one["forgotten"]]
    assert one["values"] == {"row_id": f"{FORGOTTEN}:1"}
    page = client.get("/applications/best-of/a").text
    assert "This video was forgotten." in page
    assert not any(word in text for text in (answer.text, page) for word in ("to be forgotten", "secret"))


def test_the_line_of_a_page_gives_its_rows(client: httpx.Client) -> None:
    asked = {"sort": "-score", "column": "rule", "value": "eggs", "top": "5", "offset": "2"}
    (line,) = lines_of(client.get(f"/applications/moderate/{BATCHES[0]}", params=asked))
    told = client.get(f"/api/v1/applications/moderate/{BATCHES[0]}", params=asked).json()
    assert run_python(line) == [one["values"] for one in told["rows"]] and len(told["rows"]) == 5


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("moderate/none", 404, f"moderate has no table 'none' below file:///.*; its tables are {BATCHES[0]}"),
        ("none/a", 404, "none has no table 'a' .*; tables there are of anomalies, best-of, moderate, recommend"),
        ("best-of/broken", 400, "no readable Parquet"),
        ("best-of/a?sort=price", 400, "no column 'price'; it has row_id, model"),
        ("best-of/a?column=price&value=1", 400, "no column 'price'"),
        ("best-of/..%2f..%2fa", 404, "nothing is here"),
        ("..%2fbest-of/a", 404, "nothing is here"),
        ("best-of/.a", 422, "pattern"),
        ("best-of/a?top=0", 422, "greater than or equal to 1"),
        ("best-of/a?offset=-1", 422, "greater than or equal to 0"),
    ],
)
def test_what_is_not_there_is_a_sentence(client: httpx.Client, path: str, status: int, told: str) -> None:
    answer = client.get(f"/api/v1/applications/{path}")
    assert answer.status_code == status and re.search(told, answer.json()["error"]), answer.text
    page = client.get(f"/applications/{path}")
    assert page.status_code == status and re.search(told, html.unescape(page.text)) and "<nav" in page.text


def test_a_service_without_a_folder_says_how_to_name_one(small_root: SmallRoot) -> None:
    with serving(small_root.root) as client:
        assert client.get("/api/v1/applications").json()["tables"] == []
        assert "--options.applications" in client.get("/applications").text
        refused = client.get("/api/v1/applications/moderate/a")
        assert refused.status_code == 404 and "--options.applications" in refused.json()["error"]


def test_a_table_that_is_written_later_is_seen(small_root: SmallRoot, tmp_path: Path) -> None:
    options = ServeOptions(applications=f"{tmp_path}/later", fresh_seconds=1e-6)
    with serving(small_root.root, options) as client:
        assert "has written a table" in client.get("/applications").text
        write_table(f"{tmp_path}/later", "best-of", "a", [WrittenFlag(row_id="v:0", model="m")])
        assert client.get("/api/v1/applications/best-of/a").json()["total"] == 1
        write_table(f"{tmp_path}/later", "best-of", "a", [WrittenFlag(row_id="v:0", model="m")] * 2)
        assert client.get("/api/v1/applications").json()["tables"][0]["rows"] == 2


def test_a_list_of_many_tables_is_paged(small_root: SmallRoot, tmp_path: Path) -> None:
    names = [f"day-{n:03d}" for n in range(120)]
    for name in names:
        write_table(str(tmp_path), "best-of", name, [WrittenFlag(row_id="v:0", model="m")])
    with serving(small_root.root, ServeOptions(applications=str(tmp_path))) as client:
        told = [client.get(f"/api/v1/applications?offset={offset}").json() for offset in (0, 50, 100)]
        assert [page["next_offset"] for page in told] == [50, 100, None]
        assert [one["table"] for page in told for one in page["tables"]] == names[::-1]
        assert 'href="/applications?offset=50"' in client.get("/applications").text


def test_hostile_texts_of_a_table_are_text(tmp_path: Path) -> None:
    store = write_hostile_root(f"{tmp_path}/root")
    rows = [
        WrittenFlag(row_id=f"v{n}:0", model=("current", t)[n % 2], verdict=t, kind=t, text=t, title=t)
        for n, t in enumerate(HOSTILE)
    ]
    write_table(f"{tmp_path}/tables", "best-of", "a", rows)
    with serving(store.root, ServeOptions(applications=f"{tmp_path}/tables")) as client:
        assert len(client.get("/api/v1/applications/best-of/a").json()["rows"]) == len(HOSTILE)
        for path in ("/applications", "/applications/best-of/a"):
            answer = client.get(path)
            assert answer.status_code == 200 and "unsafe" not in answer.headers["content-security-policy"]
            assert not re.search(r"<(script(?! src=\"/static)|img|svg|b>)", answer.text)
            assert not re.search(r"<[^<>]* on[a-z]+=", re.sub(r'"[^"]*"', '""', answer.text))
        page = html.unescape(client.get("/applications/best-of/a", params={"column": "kind", "value": HOSTILE[0]}).text)
        assert page.count("1 row<") == 1 and HOSTILE[0] in page


def test_pages_are_kept_up_to_their_bytes(small_root: SmallRoot, tmp_path: Path) -> None:
    """Texts of a megabyte each, of which a page shows ten."""
    rows = [WrittenFlag(row_id=f"v{n}:0", model="m", text=str(n % 10) * 1_000_000) for n in range(120)]
    write_table(str(tmp_path), "best-of", "a", rows)
    root = FreshRoot(small_root.root, fresh_seconds=60, models=1)
    written = Written(root, str(tmp_path))
    for offset in range(0, 120, 10):
        assert len(written.page("best-of", "a", TableQuery(top=10, offset=offset), "").rows) == 10
        assert root.remembered_bytes <= 64 << 20
    assert root.remembered_bytes > 50 << 20, "pages are kept"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A record of which one number may say that there is none."""

    row_id: str
    surprise: float = field(metadata={NONE: -1.0})
    change: float


def test_only_a_number_that_the_table_calls_none_is_left_out(small_root: SmallRoot, tmp_path: Path) -> None:
    write_records(f"{tmp_path}/best-of/a.parquet", Change, [Change(row_id="v:0", surprise=-1.0, change=-1.0)])
    with serving(small_root.root, ServeOptions(applications=str(tmp_path))) as client:
        told = client.get("/api/v1/applications/best-of/a").json()
        assert told["none"] == {"surprise": -1.0} and told["rows"][0]["values"]["surprise"] == -1.0
        page = client.get("/applications/best-of/a").text
        assert "<dt>change</dt><dd>-1" in page and "<dt>surprise</dt>" not in page
