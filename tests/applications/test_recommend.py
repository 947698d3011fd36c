"""What people like is planted, so that what they are recommended can be judged."""

from __future__ import annotations

import inspect
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import videobert
from tests.applications.planted_views import PlantedViews, ndcg, plant_views
from tests.query.rows import EMBED, write_embeddings
from videobert.api import Root
from videobert.applications.recommend import Recommendation
from videobert.applications.recommend.core import diverse, pooled
from videobert.cli.main import main
from videobert.runtime.storage import Store

VIDEOS = [f"a-v{number:04d}" for number in range(600)]


@pytest.fixture(scope="module")
def planted() -> PlantedViews:
    return plant_views(VIDEOS, persons=60)


@pytest.fixture(scope="module")
def root(planted: PlantedViews, tmp_path_factory: pytest.TempPathFactory) -> Root:
    folder = tmp_path_factory.mktemp("recommend")
    write_embeddings(Store(str(folder)), "a", np.repeat(planted.vectors_VR, 2, axis=0), level="video")
    pq.write_table(planted.views, folder / "views.parquet")
    return videobert.open(str(folder))


@pytest.fixture(scope="module")
def views(root: Root) -> str:
    return f"{root.url}/views.parquet"


def lists(found: list[Recommendation]) -> dict[str, list[str]]:
    by_person: dict[str, list[str]] = defaultdict(list)
    for row in found:
        by_person[row.person].append(row.video_id)
    return by_person


def test_planted_interests_are_found_three_times_as_well_as_by_popularity(
    root: Root, views: str, planted: PlantedViews
) -> None:
    found = lists(root.recommend(history=views))
    unknown = root.recommend(history=views, person="nobody", popular=True, top=60)
    assert {row.by for row in unknown} == {"popularity"}
    seen = lists_of_views(planted)
    ours, popular = [], []
    for person, liked in planted.liked.items():
        ours.append(ndcg(found[person], liked))
        popular.append(ndcg([row.video_id for row in unknown if row.video_id not in seen[person]], liked))
    assert len(found) == 60 and np.mean(ours) > 3 * np.mean(popular) > 0
    assert np.mean(ours) > 0.7
    # Nobody gets what everybody gets: the lists cover ten times the videos of the longest list.
    assert len({video for listed in found.values() for video in listed}) > 100


def lists_of_views(planted: PlantedViews) -> dict[str, set[str]]:
    seen: dict[str, set[str]] = defaultdict(set)
    for row in planted.views.to_pylist():
        seen[row["person"]].add(row["video_id"])
    return seen


def test_nobody_is_recommended_what_they_have_seen_nor_anything_twice(
    root: Root, views: str, planted: PlantedViews
) -> None:
    seen = lists_of_views(planted)
    for person, listed in lists(root.recommend(history=views, top=50)).items():
        assert not seen[person] & set(listed) and len(set(listed)) == len(listed) == 50


def test_newer_views_weigh_more(root: Root, views: str, planted: PlantedViews) -> None:
    def share_of_newest(days: float) -> float:
        found = lists(root.recommend(history=views, half_life_days=days))
        topic = dict(zip(VIDEOS, planted.topic_V.tolist(), strict=True))
        return float(np.mean([topic[v] == planted.newest[p] for p, listed in found.items() for v in listed]))

    assert share_of_newest(30) > 0.7 > 0.45 > share_of_newest(1e9)


def test_one_person_gets_what_the_batch_of_all_gives_them(root: Root, views: str) -> None:
    everyone = root.recommend(history=views)
    assert root.recommend(history=views, person="p0007") == [row for row in everyone if row.person == "p0007"]
    assert {row.model for row in everyone} == {EMBED}


def test_the_reason_is_the_nearest_that_was_watched(root: Root, planted: PlantedViews) -> None:
    watched = [VIDEOS[3], VIDEOS[5]]
    for row in root.recommend(watched=",".join(watched)):
        near = planted.vectors_VR[[3, 5]] @ planted.vectors_VR[VIDEOS.index(row.video_id)]
        assert row.because == watched[int(np.argmax(near))] and row.by == "history"


def test_a_history_may_be_of_any_kind_and_name_sources(root: Root, planted: PlantedViews, tmp_path: Path) -> None:
    expected = root.recommend(history=f"{root.url}/views.parquet")
    pyarrow.csv.write_csv(planted.views, tmp_path / "views.csv")
    uris = [f"s3://in/{2 * VIDEOS.index(video)}.mp4" for video in planted.views["video_id"].to_pylist()]
    times = pa.array(planted.views["time"].to_numpy().astype("datetime64[s]"))
    named = pa.table({"person": planted.views["person"], "uri": uris, "time": times})
    lines = [json.dumps(row | {"time": row["time"].isoformat()}) for row in named.to_pylist()]
    (tmp_path / "views.jsonl").write_text("\n".join(lines))
    for name in ("views.csv", "views.jsonl"):
        assert root.recommend(history=str(tmp_path / name)) == expected, name


def test_whoever_watched_nothing_that_is_embedded_gets_what_is_popular(root: Root, tmp_path: Path) -> None:
    rows = [("a", VIDEOS[0]), ("b", VIDEOS[0]), ("b", VIDEOS[1]), ("c", "not embedded")]
    pq.write_table(pa.table({"person": [p for p, _ in rows], "video_id": [v for _, v in rows]}), tmp_path / "v.parquet")
    found = [row for row in root.recommend(history=str(tmp_path / "v.parquet"), top=2) if row.person == "c"]
    assert [(row.video_id, round(row.score, 3), row.by) for row in found] == [
        (VIDEOS[0], 0.667, "popularity"), (VIDEOS[1], 0.333, "popularity"),
    ]  # fmt: skip


def test_diversity_trades_nearness_for_difference() -> None:
    vectors_CR = np.array([[1, 0], [1, 0], [0.8, 0.6], [0.6, -0.8]], np.float32)
    score_C = vectors_CR @ np.array([1, 0], np.float32)
    assert diverse(score_C, vectors_CR, top=3, diversity=0.0).tolist() == [0, 1, 2]
    assert diverse(score_C, vectors_CR, top=3, diversity=0.6).tolist() == [0, 3, 2]
    assert diverse(score_C, vectors_CR, top=9, diversity=0.9).shape == (4,)


def test_an_old_history_counts_as_much_as_a_new_one() -> None:
    vectors_ER, weight_E = np.eye(2, dtype=np.float32), np.array([1.0, 0.5])
    np.testing.assert_array_equal(pooled(vectors_ER, weight_E), pooled(vectors_ER, weight_E * 2.0**-900))


def test_the_command_writes_a_table_and_says_what_it_covers(
    root: Root, views: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "rows.parquet"
    main(["recommend", "--root", root.url, "--history", views, "--out", str(out), "--top", "3"])
    told = capsys.readouterr().out
    table = pq.read_table(out)
    different = len(set(table["video_id"].to_pylist()))
    assert table.num_rows == 180
    assert f"180 rows for 60 persons by history; {different} different videos" in told
    main(["recommend", "--root", root.url, "--history", views, "--person", "p0001", "--top", "2", "--json"])
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first == next(row for row in table.to_pylist() if row["person"] == "p0001")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "give one of a history"),
        ({"history": "views.parquet", "watched": "x"}, "give one of a history"),
        ({"history": "views.parquet", "person": "zoe"}, "person 'zoe' has no history.*60 such as 'p0000'"),
        ({"person": "zoe", "watched": "x"}, "looked up in a history"),
        ({"watched": "a-v9999"}, "video 'a-v9999' is not embedded"),
        ({"watched": " , "}, "video '' is not embedded"),
        ({"history": "none.parquet"}, "is not there"),
        ({"history": "views.txt"}, "ends in none of"),
        ({"history": "empty.csv"}, "no event"),
        ({"history": "wrong.csv"}, "has the columns who, what"),
        ({"history": "times.csv"}, "times of .* are none"),
        ({"watched": VIDEOS[0], "top": 0}, "top is 0"),
        ({"watched": VIDEOS[0], "diversity": 1.0}, "diversity is 1"),
        ({"watched": VIDEOS[0], "half_life_days": 0.0}, "half_life_days is 0"),
        ({"watched": VIDEOS[0], "batch": "b"}, "no video to recommend in b"),
        ({"text": "soup", "model": "pretrain-9"}, "no embeddings of 'pretrain-9'"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(root: Root, options: dict[str, Any], told: str) -> None:
    folder = Path(root.url.removeprefix("file://"))
    (folder / "empty.csv").write_text("person,video_id\n")
    (folder / "wrong.csv").write_text("who,what\na,b\n")
    (folder / "times.csv").write_text("person,video_id,time\na,b,yesterday\n")
    if history := options.get("history"):
        options = options | {"history": f"{root.url}/{history}"}
    with pytest.raises(videobert.InputError, match=told) as refused:
        root.recommend(**options)
    assert len(str(refused.value).splitlines()) == 1


def test_a_root_has_the_applications_as_methods(root: Root) -> None:
    assert "recommend" in dir(root) and "half_life_days" in inspect.signature(root.recommend).parameters
    with pytest.raises(AttributeError, match="no 'recomend'"):
        root.recomend()  # type: ignore[attr-defined]  # mypy sees it, and would call this needless otherwise
