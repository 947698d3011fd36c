"""Every page gives the lines that answer the same: the command line takes them, and Python runs them."""

from __future__ import annotations

import dataclasses
import re
import shlex

import httpx
import pytest

import videobert
from tests.serve.lines import lines_of, run_python
from tests.small_root import BATCHES, SmallRoot
from videobert.admin.replay import find_letters
from videobert.cli.main import parse_command
from videobert.runtime.storage import Store
from videobert.serve.answers import Question
from videobert.serve.lines import letter_lines, replay_lines, search_lines


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("/?text=the+egg&top=3&captions=with&per_video=1", ["search", "Python"]),
        ("/?row={row}&by=vector&from=1&to=60", ["search", "Python"]),
        ("/?text=the+egg&other={embed}", ["search", "Python", "search", "Python"]),
        ("/rows/{row}", ["lineage", "Python"]),
        pytest.param("/rows/{row}/forecast", ["forecast"], marks=pytest.mark.slow),
        ("/map", ["sql", "Python"]),
        ("/batches", ["status", "Python"]),
        ("/dead-letters?batch={batch}", ["dead-letters", "Python"]),
        ("/dead-letters?reason=empty", ["sql", "Python", "replay"]),
        ("/dead-letters?reason=empty&stage=ingest&batch={batch}", ["sql", "Python", "replay"]),
        ("/models", ["models", "Python"]),
        ("/models?a={evaluate}&b={evaluate}", ["Python", "models", "Python"]),
    ],
)
def test_the_lines_of_a_page_are_taken(
    client: httpx.Client, small_root: SmallRoot, path: str, kinds: list[str]
) -> None:
    row = videobert.open(small_root.root).search("stir the egg", top=1)[0].row_id
    lines = lines_of(client.get(path.format(row=row, batch=BATCHES[0], **small_root.specs)))
    told = []
    for line in lines:
        if line.startswith("videobert "):
            words = shlex.split(line)[1:]
            parse_command(["demo" if word == "RECIPE" else word for word in words])
            told.append(words[0])
        else:
            assert run_python(line)
            told.append("Python")
    assert told == kinds


def test_the_lines_of_a_search_find_what_is_shown(client: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    page = client.get("/?text=the+egg&top=4&offset=1&from=1")
    command, python = lines_of(page)
    parse_command(shlex.split(command)[1:]).execute()
    printed = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert [hit.row_id for hit in run_python(python)] == printed
    assert printed[1:] == re.findall(r'data-copy="([0-9a-f]{64}:\d+)"', page.text)


@pytest.mark.parametrize("asked", [{"reason": "empty"}, {"reason": "empty", "batch": BATCHES[0], "stage": "ingest"}])
def test_the_lines_of_dead_letters_give_those_that_are_shown(
    client: httpx.Client, small_root: SmallRoot, asked: dict[str, str]
) -> None:
    command, python, replay = lines_of(client.get("/dead-letters", params=asked))
    shown = client.get("/api/v1/dead-letters", params=asked).json()
    every = client.get("/api/v1/dead-letters").json()
    assert 0 < len(shown) < len(every)
    assert [dataclasses.asdict(letter) for letter in run_python(python)] == shown
    parsed = parse_command(shlex.split(command)[1:])
    relation = videobert.open(small_root.root).sql(getattr(parsed, "query", ""))
    assert relation is not None
    assert sorted(relation.project("uri").fetchall()) == sorted((letter["uri"],) for letter in shown)
    where = getattr(parse_command(["demo" if w == "RECIPE" else w for w in shlex.split(replay)[1:]]), "where", "")
    found = find_letters(Store(small_root.root), where, [asked["batch"]] if "batch" in asked else [])
    assert sum(letter.videos for letter in found) == len(shown)


def test_a_quote_in_a_reason_stays_a_quote() -> None:
    (_, command), (_, python) = letter_lines("demo", "", "", "it's")
    assert "reason = 'it''s'" in shlex.split(command)[2] and python.endswith("""letter.reason == "it's"]""")
    ((_, replay),) = replay_lines("demo", "", "", "empty' or 1=1 --")
    assert "reason = 'empty'' or 1=1 --'" in shlex.split(replay)


@pytest.mark.parametrize("text", ["--root=s3://elsewhere", "-h", "-5 eggs"])
def test_a_question_is_no_flag(text: str) -> None:
    command = search_lines("demo", Question(text=text), "current")[0][1]
    parsed = parse_command(shlex.split(command)[1:])
    assert (getattr(parsed, "text", ""), getattr(parsed, "root", "")) == (text, "demo")


def test_the_line_of_the_map_gives_its_points(client: httpx.Client) -> None:
    _, python = lines_of(client.get("/map"))
    points = client.get("/api/v1/map").json()["points"]
    found = run_python(python)
    assert [row.row_id for row in found.rows] == [point["row_id"] for point in points]
    assert found.place_N2.tolist() == [[point["x"], point["y"]] for point in points]


def test_the_line_of_two_reports_gives_their_figures(client: httpx.Client, small_root: SmallRoot) -> None:
    spec = small_root.specs["evaluate"]
    python = lines_of(client.get(f"/models?a={spec}&b={spec}"))[0]
    (report,) = client.get(f"/api/v1/models/{small_root.specs['pretrain']}/reports").json()
    assert run_python(python) == [report["metrics"], report["metrics"]]
