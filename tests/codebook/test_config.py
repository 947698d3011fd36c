"""The configuration refuses what cannot work, and needs nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from videobert.codebook.config import CodebookConfig
from videobert.errors import InputError


def test_defaults_are_the_papers() -> None:
    config = CodebookConfig()
    assert (config.branching, config.depth, config.leaves, config.assignment) == (12, 4, 20_736, "greedy")


@pytest.mark.parametrize(
    "values",
    [
        {"branching": 1},
        {"depth": -1},
        {"depth": 9},
        {"iterations": 0},
        {"restarts": 0},
        {"seed_rows": 0},
        {"tolerance": 1.0},
        {"tolerance": float("nan")},
        {"sample_clips": -1},
        {"seed": -1},
        {"assignment": "nearest"},
    ],
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=str(next(iter(values.values()))).replace("-", r"\-") if values else ""):
        CodebookConfig(**values)


def test_importing_the_config_imports_nothing_heavy() -> None:
    script = "import sys, videobert.codebook.config; print(sorted({'torch', 'numpy', 'ray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("clips", "depth"), [(10, 1), (2_879, 1), (2_880, 2), (34_560, 3), (10**9, 4)])
def test_a_depth_of_zero_follows_the_clips(clips: int, depth: int) -> None:
    assert CodebookConfig(depth=0).sized(clips).depth == depth
    assert CodebookConfig(depth=2).sized(clips).depth == 2
