"""A finished root of which one video has sound of a chosen codec, in a container of a chosen kind."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

import videobert
from tests.small_root import SmallRoot
from videobert.api import Hit
from videobert.runtime.tar import TarWriter, read_members
from videobert.video.decode import probe
from videobert.video.limits import DecoderLimits

__all__ = ["copy_with_sound"]

_RATE = 48_000


def copy_with_sound(small_root: SmallRoot, folder: Path, row: Hit, *, codec: str, suffix: str) -> str:
    """The address of the copy. The pictures of the row's video are as they were, with a tone."""
    shutil.copytree(small_root.root, folder)
    root = videobert.open(str(folder))
    tar = folder / root.lineage(row.row_id).step("shard").url.removeprefix(f"{root.url}/")
    with tar.open("rb") as source:
        members = {PurePosixPath(name): reader.read() for name, reader in read_members(source)}
    (name,) = (name for name in members if name.stem == row.video_id and name.suffix != ".json")
    video, about = folder / f"{name.stem}{suffix}", name.with_suffix(".json")
    _add_sound(members[name], video, codec)
    told, facts = json.loads(members[about]), dataclasses.asdict(probe(video, limits=DecoderLimits()))
    members[about] = json.dumps(told | {key: facts[key] for key in told.keys() & facts.keys()}).encode()
    members[name] = video.read_bytes()
    with tar.open("wb") as sink:
        writer = TarWriter(sink)
        for member, data in members.items():
            writer.add(video.name if member == name else str(member), data)
        writer.close()
    return root.url


def _add_sound(data: bytes, path: Path, codec: str) -> None:
    """The packets of the pictures, and a tone as long."""
    with av.open(io.BytesIO(data), "r") as silent, av.open(str(path), "w") as output:
        pictures = output.add_stream_from_template(silent.streams.video[0])
        sound = cast(AudioStream, output.add_stream(codec, rate=_RATE, layout="stereo"))
        for packet in silent.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                output.mux(packet)
        times_N = np.arange(_RATE * (silent.duration or 0) // av.time_base) / _RATE
        tone_N = (np.sin(2 * np.pi * 440 * times_N) * 20_000).astype(np.int16)
        for first in range(0, len(tone_N), 1024):
            samples = np.repeat(tone_N[first : first + 1024], 2)[None]
            frame = AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = _RATE, first, Fraction(1, _RATE)
            output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
