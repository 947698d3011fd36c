"""`trigger` and `backfill` without an Airflow: every wrong value is one sentence. The real one is in tests/e2e."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from videobert.cli.main import main

NAMES = ("URL", "TOKEN", "USER", "PASSWORD")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"VIDEOBERT_AIRFLOW_{name}", raising=False)


def refused(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trigger"], ["--batch is empty"]),
        (["trigger", "--batch", "a,$(touch x)"], ["$(touch x)", "is no key"]),
        (["trigger", "--batch", "2026-01-01"], ["VIDEOBERT_AIRFLOW_URL is not set"]),
        (["backfill", "--from", "yesterday", "--to", "2026-01-02"], ["--from 'yesterday'", "2026-01-31"]),
        (["backfill", "--from", "2026-01-03", "--to", "2026-01-02"], ["2026-01-02 is before", "exchange"]),
    ],
)
def test_a_wrong_value_is_named(capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]) -> None:
    told = refused(capsys, arguments)
    assert all(word in told for word in words), told


@pytest.mark.parametrize("url", ["airflow:8080", "file:///etc/passwd"])
def test_an_address_that_is_no_http_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("VIDEOBERT_AIRFLOW_URL", url)
    assert repr(url) in refused(capsys, ["trigger", "--batch", "a"])


def test_an_airflow_that_is_not_there_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("VIDEOBERT_AIRFLOW_URL", url)
    assert "VIDEOBERT_AIRFLOW_USER" in refused(capsys, ["trigger", "--batch", "a"])
    monkeypatch.setenv("VIDEOBERT_AIRFLOW_TOKEN", "secret-of-the-test")
    told = refused(capsys, ["trigger", "--batch", "a"])
    assert url in told and "secret-of-the-test" not in told
