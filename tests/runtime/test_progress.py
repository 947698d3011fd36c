"""Progress: a line now and then, and one for the last step."""

from __future__ import annotations

import logging

import pytest

from videobert.runtime.progress import Progress, clock_text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (75, "1:15"), (3_661, "1:01:01"), (-1, "0:00")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that `progress` reads; tests turn it."""
    now = [100.0]
    monkeypatch.setattr("videobert.runtime.progress.time.monotonic", lambda: now[0])
    return now


def test_it_speaks_now_and_then_and_at_the_end(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "videobert"):
        bar = Progress("features b", total=4, unit="shards")
        for _ in range(4):
            clock[0] += 2.0
            bar.step({"clips": 30, "rejects": 0})
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "features b: 3/4 shards, 90 clips (15.0/s), 0:02 left",
        "features b: 4/4 shards, 120 clips (15.0/s), 0:00 left",
    ]


def test_what_stood_before_does_not_count_as_speed(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "videobert"):
        bar = Progress("x", total=12, done=10, unit="shards")
        clock[0] += 10.0
        bar.step()
    assert "10 of 12 shards already stand" in caplog.text
    assert "x: 11/12 shards, 0:10 left" in caplog.text
