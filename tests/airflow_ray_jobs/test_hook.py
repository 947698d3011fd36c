"""Where the address and the token come from."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from airflow_ray_jobs.endpoint import Endpoint, local_token
from airflow_ray_jobs.errors import RayJobBadInput
from airflow_ray_jobs.hook import RayHook
from airflow_ray_jobs.jobs_api import JobsApi
from airflow_ray_jobs.kuberay import KubeRayJobs


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("connection", "url", "token"),
    [
        ('{"conn_type": "ray", "host": "http://head:8265/", "password": "t"}', "http://head:8265", "t"),
        (
            '{"conn_type": "ray", "host": "https://ray.org/x", "password": "t"}',
            "https://ray.org/x",
            "t",
        ),
        ('{"conn_type": "ray", "host": "head", "port": 8266, "schema": "https"}', "https://head:8266", None),
        ('{"conn_type": "http", "host": "head"}', "http://head:8265", None),
        ("ray://:to%2Fken@head:8265", "http://head:8265", "to/ken"),
    ],
)
def test_a_connection_gives_address_and_token(
    monkeypatch: pytest.MonkeyPatch, connection: str, url: str, token: str | None
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RAY_DEFAULT", connection)
    found = RayHook().endpoint()
    assert (found.url, found.token) == (url, token)


def test_a_connection_without_a_host_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RAY_DEFAULT", '{"conn_type": "ray"}')
    with pytest.raises(RayJobBadInput, match="'ray_default' has no host"):
        RayHook().endpoint()


def test_extras_name_the_dashboard_for_people_and_the_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_OTHER",
        '{"conn_type": "ray", "host": "h", "extra": {"link_url": "https://ray.example.org", "ca_file": "/ca.pem"}}',
    )
    found = RayHook(conn_id="other").endpoint()
    assert (found.link_url, found.ca_file) == ("https://ray.example.org", "/ca.pem")


def test_an_address_takes_the_token_as_ray_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert local_token() is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("from-home\n")
    assert RayHook(address="http://h:1").endpoint().token == "from-home"
    (tmp_path / "file").write_text("from-file\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "file"))
    assert local_token() == "from-file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from-environment")
    assert RayHook(address="http://h:1").endpoint().token == "from-environment"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert local_token() is None


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(RayJobBadInput, match="ray://head:10001"):
        RayHook(address="ray://head:10001").endpoint()


def test_a_namespace_means_kuberay() -> None:
    assert isinstance(asyncio.run(RayHook(address="http://h:1").abackend()), JobsApi)
    assert isinstance(asyncio.run(RayHook(address="http://h:1", namespace="ray").abackend()), KubeRayJobs)


def test_the_token_is_not_in_the_repr() -> None:
    assert "secret" not in repr(Endpoint(url="http://h", token="secret"))
