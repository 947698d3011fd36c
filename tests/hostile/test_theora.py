"""Theora, which FFmpeg's wheel decodes and does not write: three seconds of its test picture lie next to this file.

ffmpeg -f lavfi -i testsrc2=size=64x48:rate=20:duration=3 -c:v libtheora -g 10 -q:v 3 -fflags +bitexact theora.ogv
"""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.hostile.corpus.case import ANY, ROWS, Case
from tests.hostile.corpus.damaged import flipped
from tests.hostile.endings import harvest, hostile_recipe, put
from videobert.errors import VideoError
from videobert.video.frames import ClipDecoder
from videobert.video.isolated import IsolatedDecoder
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipRequest

_FIRST_PICTURE_ENDS = 4_024
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
    decoder = ClipDecoder(path, ClipRequest(frame_ticks=tuple(range(30)), size=48), DecodeOptions())
    clips = list(decoder)
    assert decoder.frames_decoded == 35 and decoder.damaged == [] and len(clips) == 2
    equal = [np.array_equal(before, after) for clip in clips for before, after in pairwise(clip.rgb)]
    assert sum(equal) == 25


def test_a_million_packets_in_a_megabyte_cost_what_the_limit_allows(tmp_path: Path) -> None:
    """A page of 282 bytes holds 255 pictures of no bytes."""
    path = tmp_path / "many.ogv"
    path.write_bytes(DATA[:_FIRST_PICTURE_ENDS] + b"".join(_empty_page(number) for number in range(4_000)))
    limits, before = DecoderLimits(max_packets=30_000), set(psutil.Process().children())
    decoder = IsolatedDecoder(limits)
    decoder.probe(path)
    (child,) = set(psutil.Process().children()) - before
    size = child.memory_info().rss
    with pytest.raises(VideoError, match="max_packets=30000") as caught:
        list(decoder.clips(path, ClipRequest(frame_ticks=(0,), size=8), DecodeOptions()))
    assert 1_499 < caught.value.salvageable_seconds < 1_500
    assert child.memory_info().rss < size + (4 << 20) and child.cpu_times().user < 30


def _empty_page(number: int) -> bytes:
    """The page of Ogg after the first picture's, and so on; a picture lasts a twentieth of a second."""
    last, serial = 255 * (number + 1), struct.unpack_from("<I", DATA, 14)[0]
    page = bytearray(b"OggS\0\0" + struct.pack("<QIIIB", last << 6, serial, 3 + number, 0, 255) + bytes(255))
    struct.pack_into("<I", page, 22, _crc(bytes(page)))
    return bytes(page)


def _crc(page: bytes) -> int:
    """Ogg's, which is not that of zlib."""
    rest = 0
    for byte in page:
        rest = (rest << 8 & 0xFFFFFFFF) ^ _CRC[rest >> 24 ^ byte]
    return rest


def _crc_of(byte: int) -> int:
    rest = byte << 24
    for _ in range(8):
        rest = rest << 1 & 0xFFFFFFFF ^ (0x04C11DB7 if rest >> 31 else 0)
    return rest


_CRC = [_crc_of(byte) for byte in range(256)]
