"""Reading the result that a job left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_ray_jobs.errors import RayJobResultError
from airflow_ray_jobs.result import MAX_RESULT_BYTES, load_validate, read_result, result_uri_of


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ('{"submission_id": "a', "not JSON"),
        ("\udcff".encode("utf-8", "surrogateescape"), "not JSON"),
        ("[1]", "a JSON list"),
        ('{"rows": 1}', "names submission None"),
        ('{"submission_id": "b-a1"}', "names submission 'b-a1'"),
        (json.dumps({"submission_id": "a-a1", "x": "y" * MAX_RESULT_BYTES}), "larger than 65536"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RayJobResultError, match=message):
        read_result(str(path), "a-a1")


def test_a_result_comes_back_from_any_fsspec_address(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"submission_id": "a-a1", "rows": 3}')
    assert read_result(f"file://{tmp_path}/r.json", "a-a1") == {"submission_id": "a-a1", "rows": 3}


def _raise(result: dict[str, Any]) -> None:
    raise ValueError("manifest is gone")


def test_validate_decides(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('{"submission_id": "a-a1"}')
    assert read_result(str(path), "a-a1", lambda result: None) == {"submission_id": "a-a1"}
    with pytest.raises(RayJobResultError, match="does not validate"):
        read_result(str(path), "a-a1", lambda result: False)
    with pytest.raises(RayJobResultError, match="manifest is gone"):
        read_result(str(path), "a-a1", _raise)


def test_validate_may_be_named() -> None:
    assert load_validate("json.dumps") is json.dumps
    assert load_validate(None) is None
    with pytest.raises(TypeError, match="not callable"):
        load_validate("airflow_ray_jobs.result.MAX_RESULT_BYTES")


def test_the_address_is_filled_in_only_where_it_asks() -> None:
    assert result_uri_of("s3://b/{submission_id}.json", "x-a1") == "s3://b/x-a1.json"
    assert result_uri_of("s3://b/{other}.json", "x-a1") == "s3://b/{other}.json"
