"""Commands in this process, as `videobert` runs them."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.small_root import SmallRoot
from videobert.cli.main import main

Told = Callable[..., list[str]]
Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """`main` takes SIGTERM over, which the tests end servers with."""
    former = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, former)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """The lines that a command prints."""

    def run(*arguments: str) -> list[str]:
        capsys.readouterr()
        main(arguments)
        return capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """The one sentence with which a command ends that got wrong input."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert ended.value.code == 2 and message.startswith("error: "), message
        return message

    return run


@pytest.fixture
def copied(small_root: SmallRoot, tmp_path: Path) -> SmallRoot:
    """The same run in a folder that a test may change."""
    shutil.copytree(small_root.root, tmp_path / "demo")
    return replace(small_root, folder=tmp_path)
