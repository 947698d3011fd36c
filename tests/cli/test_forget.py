"""`videobert forget` and `replay` on a copy of a finished run."""

from __future__ import annotations

import pytest

import videobert
from tests.cli.conftest import Refused, Told
from tests.small_root import SmallRoot
from videobert.cli.replay import ReplayCommand


def test_a_forgotten_video_is_in_no_answer(told: Told, copied: SmallRoot) -> None:
    root = videobert.open(copied.root)
    video = root.search("stir the egg", top=1)[0].video_id
    planned = told("forget", video, "--root", copied.root, "--dry-run")
    assert planned and root.search("stir the egg", top=1)[0].video_id == video
    assert told("forget", video, "--root", copied.root)
    assert video not in {hit.video_id for hit in root.search("stir the egg", top=99)}
    with pytest.raises(videobert.InputError, match="no row"):
        root.lineage(video)


def test_what_is_no_digest_is_refused(refused: Refused, copied: SmallRoot) -> None:
    assert "'kitchen.mp4'" in refused("forget", "kitchen.mp4", "--root", copied.root)


def test_letters_of_a_reason_are_tried_again(copied: SmallRoot, capsys: pytest.CaptureFixture[str]) -> None:
    letter = videobert.open(copied.root).dead_letters()[0]
    ReplayCommand(where=letter.reason, root=copied.root, config=copied.recipe, dry_run=True).execute()
    assert any(line.split()[:3] == [letter.stage, letter.batch, letter.spec]
               for line in capsys.readouterr().out.splitlines())  # fmt: skip
    ReplayCommand(where=letter.reason, root=copied.root, config=copied.recipe).execute()
    again = [other for other in videobert.open(copied.root).dead_letters() if other.uri == letter.uri]
    assert [other.reason for other in again] == [letter.reason]


def test_letters_that_are_not_there(refused: Refused, copied: SmallRoot) -> None:
    assert "no-such-reason" in refused("replay", "--where", "no-such-reason", "--root", copied.root)
