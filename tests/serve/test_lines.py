"""Every page gives the lines that answer the same: the command line takes them, and Python runs them."""

from __future__ import annotations

import re
import shlex

import httpx
import pytest

import videobert
from tests.serve.lines import lines_of, run_python
from tests.small_root import SmallRoot
from videobert.cli.main import parse_command


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
        ("/dead-letters?reason=empty", ["dead-letters", "Python", "replay"]),
        ("/models", ["models", "Python"]),
        ("/models?a={evaluate}&b={evaluate}", ["Python", "models", "Python"]),
    ],
)
def test_the_lines_of_a_page_are_taken(
    client: httpx.Client, small_root: SmallRoot, path: str, kinds: list[str]
) -> None:
    row = videobert.open(small_root.root).search("stir the egg", top=1)[0].row_id
    lines = lines_of(client.get(path.format(row=row, **small_root.specs)))
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
