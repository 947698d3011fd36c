"""Videos that were whole once: cut off, with flipped bits, with a hole, or with a header that lies."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from tests.hostile.corpus.case import ANY, ROWS, Case
from tests.hostile.corpus.clip import Clip, encode_clip
from videobert.errors import InputError
from videobert.runtime.storage import sha256

__all__ = ["damaged_cases", "flipped", "seeds"]

_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_REALTIME = {"deadline": "realtime", "cpu-used": "8"}
_LONG = 200
"""Pictures of the files that get a hole: ten seconds."""


def seeds(frames: int = 40) -> dict[str, bytes]:
    """Name -> a whole video of each container and codec that damage is done to."""
    return {
        "plain.mp4": encode_clip(Clip(frames=frames)),
        "sound.mp4": encode_clip(Clip(frames=frames, sound=True)),
        "fragments.mp4": encode_clip(Clip(frames=frames, container_options=_FRAGMENTED)),
        "h264.mkv": encode_clip(Clip(frames=frames, container="matroska")),
        "vp9.webm": encode_clip(Clip(frames=frames, codec="libvpx-vp9", container="webm", codec_options=_REALTIME)),
        "mpeg4.avi": encode_clip(Clip(frames=frames, codec="mpeg4", container="avi")),
        "mpeg2.mpg": encode_clip(Clip(frames=max(frames, 60), fps=25, codec="mpeg2video", container="mpeg")),
        "stream.mp4": encode_clip(Clip(frames=frames, container="mpegts")),
        "picture.gif": encode_clip(Clip(frames=frames, codec="gif", container="gif", pixel_format="rgb8")),
    }  # fmt: skip


def damaged_cases(*, seed: int, flips: int) -> Iterator[Case]:
    """Every class of damage; `flips` files with flipped bits."""
    whole = seeds()
    for name, data in whole.items():
        for tenth in range(1, 10):
            # The index of a plain mp4 stands at its end: without it nobody finds the pictures.
            ends = ("ingest undecodable",) if name == "plain.mp4" else ANY
            yield Case(
                kind="truncated", name=f"cut-{tenth}-{name}", data=data[: len(data) * tenth // 10], ends=ends,
                note=f"{tenth}0 % of it",
            )  # fmt: skip
    names = sorted(whole)
    for number in range(flips):
        name = names[number % len(names)]
        data = flipped(whole[name], seed=seed, key=str(number))
        yield Case(kind="flipped bits", name=f"flip-{number:04d}-{name}", data=data, ends=ANY)
    for name, data in seeds(_LONG).items():
        if name != "picture.gif":
            yield Case(kind="damaged middle", name=f"hole-{name}", data=_hole(data), ends=(ROWS,), note="a hole of 5 %")
    for factor, note in ((1000, "a thousand times too long"), (0, "of nothing")):
        lie = _other_duration(whole["plain.mp4"], factor=factor)
        yield Case(kind="lying duration", name=f"lie-{factor}.mp4", data=lie, ends=(ROWS,), note=note)
    yield Case(kind="one frame", name="one.mp4", data=encode_clip(Clip(frames=1)), ends=(ROWS,))
    far = encode_clip(Clip(frames=80, container="matroska", times=[_far(i) for i in range(80)]))
    yield Case(
        kind="time stamps", name="far.mkv", data=far, ends=("features too-long",), note="jump by 28 hours"
    )  # fmt: skip
    for name, data in (("huge.mkv", _huge_matroska()), ("huge.gif", _huge_gif(whole["picture.gif"]))):
        # `max_pixels` stops FFmpeg before it takes memory; it then forgets the size, so the reason is not `too-large`.
        yield Case(kind="huge picture", name=name, data=data, ends=("ingest undecodable",), note="16384x16384")


def flipped(data: bytes, *, seed: int, key: str) -> bytes:
    """The bytes with 1 to 200 bits turned over, as many near the start as elsewhere."""
    rng = np.random.default_rng(int(sha256(f"{seed}/{key}".encode())[:16], 16))
    changed = bytearray(data)
    for _ in range(int(2 ** rng.uniform(0, 7.6))):
        reach = len(data) if rng.random() < 0.5 else min(len(data), 2_000)
        changed[int(rng.integers(reach))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _hole(data: bytes) -> bytes:
    """The middle twentieth is noise."""
    start, length = len(data) // 2, len(data) // 20
    return data[:start] + np.random.default_rng(7).bytes(length) + data[start + length :]


def _other_duration(mp4: bytes, *, factor: int) -> bytes:
    """The length in the headers of film, track and media, times a factor."""
    changed = bytearray(mp4)
    for box, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        at = mp4.find(box)
        if at < 0 or mp4[at + 4]:
            raise InputError(f"this FFmpeg writes another {box.decode()}; place the duration anew")
        (duration,) = struct.unpack_from(">I", mp4, at + offset)
        struct.pack_into(">I", changed, at + offset, min(duration * factor, 0xFFFFFFFE))
    return bytes(changed)


def _far(number: int) -> Fraction:
    return Fraction(number, 20) + (100_000 if number >= 40 else 0)


def _huge_gif(gif: bytes) -> bytes:
    """The size of the screen stands in the header."""
    return gif[:6] + struct.pack("<HH", 16_384, 16_384) + gif[10:]


def _huge_matroska() -> bytes:
    """Width (element B0) and height (BA), which FFV1 takes from the container."""
    data = encode_clip(Clip(codec="ffv1", container="matroska", width=512, height=512, frames=2))
    for element in (b"\xb0\x82", b"\xba\x82"):
        if data.count(element + b"\x02\x00") != 1:
            raise InputError("this FFmpeg writes the size elsewhere; place the huge one anew")
        data = data.replace(element + b"\x02\x00", element + b"\x40\x00")
    return data
