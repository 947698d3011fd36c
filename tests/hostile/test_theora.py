"""Theora, which FFmpeg's wheel decodes and does not write: three seconds of its test picture lie beside this file.

ffmpeg -f lavfi -i testsrc2=size=64x48:rate=20:duration=3 -c:v libtheora -g 10 -q:v 3 -fflags +bitexact theora.ogv
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.corpus.hostile.case import ANY, ROWS, Case
from pipeline.corpus.hostile.damaged import flipped
from pipeline.features.config import FeaturesConfig
from pipeline.features.frames import ClipDecoder, ClipRequest
from tests.hostile.endings import harvest, hostile_recipe, put

DATA = Path(__file__).with_name("theora.ogv").read_bytes()


def test_theora_gives_rows_and_its_damaged_copies_end_once(tmp_path: Path) -> None:
    cases = [Case(kind="codec or size", name="whole.ogv", data=DATA, ends=(ROWS,))]
    for number in range(12):
        data = flipped(DATA, seed=0, key=str(number)) if number % 2 else DATA[: len(DATA) * (number + 1) // 13]
        cases.append(Case(kind="flipped bits", name=f"bad-{number}.ogv", data=data, ends=ANY))
    names = put(tmp_path / "v", cases)
    found = harvest(hostile_recipe(tmp_path / "v"), tmp_path / "root", names)
    assert found.rows["whole.ogv"] == [0, 1] and found.lost == [] and found.twice == 0
    for name, case in names.items():
        assert len(found.endings[name]) == 1 and found.endings[name][0] in case.ends, name


def test_a_picture_of_no_bytes_is_the_one_before_and_no_damage() -> None:
    """25 of the 60 pictures are equal to the one before."""
    path = Path(__file__).with_name("theora.ogv")
    decoder = ClipDecoder(path, ClipRequest(frame_ticks=tuple(range(30)), size=48), FeaturesConfig())
    clips = list(decoder)
    assert decoder.frames_decoded == 35 and decoder.damaged == [] and len(clips) == 2
    equal = [np.array_equal(before, after) for clip in clips for before, after in pairwise(clip.rgb)]
    assert sum(equal) == 25
