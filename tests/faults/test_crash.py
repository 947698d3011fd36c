"""A sample of the crash matrix; `make test-faults` runs all of it, on files, S3 and Ray."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

EVERY = 23
STEPS = "ingest,shard,codebook,tokens,pretrain,evaluate,embed,promote,forget"  # features takes seconds a case


@pytest.mark.slow
def test_killed_at_some_boundary_every_stage_resumes_to_the_same_objects() -> None:
    """In a process of its own: it forks, which one that has computed before must not."""
    command = [sys.executable, "-m", "tests.faults.matrix", "--steps", STEPS, "--every", str(EVERY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    table = {line[0]: line[1:] for line in map(str.split, done.stdout.splitlines()) if len(line) > 3}
    kills, equal = (int(figure) for figure in table["all"][:2])
    assert kills == equal >= 8
    assert re.search(r"^pretrain +\d+ +\d", done.stdout, flags=re.MULTILINE)
