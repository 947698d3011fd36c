"""The package as Airflow's provider manager reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module, resources
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from airflow_ray_jobs import __version__
from airflow_ray_jobs.hook import RayHook
from airflow_ray_jobs.provider import provider_info
from tests.airflow_ray_jobs.fakes import FakeJobsApi

SCHEMA = json.loads((resources.files("airflow") / "provider_info.schema.json").read_text())


def test_it_follows_airflows_schema_and_uses_no_key_that_airflow_does_not_know() -> None:
    info = provider_info()
    jsonschema.validate(info, SCHEMA)
    assert set(info) - set(SCHEMA["properties"]) == {"versions"}
    assert info["versions"] == [__version__]


def named(info: Any) -> Iterator[str]:
    """Every module and class that it names."""
    for key in ("operators", "hooks", "triggers"):
        for entry in info[key]:
            yield from entry["python-modules"]
    yield from info["extra-links"]
    yield from (entry["hook-class-name"] for entry in info["connection-types"])


def test_what_it_names_can_be_imported() -> None:
    for name in named(provider_info()):
        module, _, last = name.rpartition(".")
        assert hasattr(import_module(module), last) if last[0].isupper() else import_module(name)


def test_its_entry_point_is_found() -> None:
    (entry,) = [e for e in entry_points(group="apache_airflow_provider") if e.value.startswith("airflow_ray_jobs")]
    assert entry.load()()["package-name"] == "airflow-ray-jobs"


def test_every_extra_that_the_connection_reads_has_a_field_in_the_form() -> None:
    source = (Path(__file__).parents[2] / "operators/airflow_ray_jobs/endpoint.py").read_text()
    (connection,) = provider_info()["connection-types"]
    assert {name for name in connection["conn-fields"] if f'extra.get("{name}")' in source} == set(
        connection["conn-fields"]
    )
    assert source.count("extra.get(") == len(connection["conn-fields"])
    assert connection["connection-type"] == RayHook.conn_type


def test_the_test_button_tells_a_good_connection_from_a_wrong_token(
    fake: FakeJobsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RayHook().test_connection() == (True, "The Ray Jobs API answers.")
    monkeypatch.setenv("AIRFLOW_CONN_RAY_DEFAULT", f"ray://:wrong@{fake.url.removeprefix('http://')}")
    good, message = RayHook().test_connection()
    assert not good and "403" in message and "token" in message
