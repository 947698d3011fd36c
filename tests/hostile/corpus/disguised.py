"""Files that are no video and carry a video's name; some try to make the decoder open something else."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import numpy as np

from tests.hostile.corpus.case import Case
from tests.hostile.corpus.clip import sound_only

__all__ = ["disguised_cases", "scripts"]

_TEXT = b"This is a shopping list and no video: onions, eggs, a lemon.\n"


def disguised_cases(*, target: str) -> Iterator[Case]:
    """`target` is the URL of a real video that the scripts point to; nobody may open it."""
    for kind, name, data, ending in (
        ("empty", "empty.mp4", b"", "ingest empty"),
        ("no video", "one-byte.mp4", b"\0", "ingest undecodable"),
        ("no video", "text.mp4", _TEXT * 20, "ingest undecodable"),
        ("no video", "page.webm", b"<html><script>alert(1)</script></html>", "ingest undecodable"),
        ("no video", "archive.mp4", _archive(), "ingest undecodable"),
        ("no video", "noise.mkv", np.random.default_rng(3).bytes(20_000), "ingest undecodable"),
        ("no video", "zeros.avi", bytes(20_000), "ingest undecodable"),
        ("sound only", "sound.mp4", sound_only(), "ingest no-video-stream"),
    ):
        yield Case(kind=kind, name=name, data=data, ends=(ending,))
    for note, text in scripts(target).items():
        name = f"script-{note.replace(' ', '-')}.mp4"
        yield Case(kind="script", name=name, data=text.encode(), ends=("ingest undecodable",), note=note)


def scripts(target: str) -> dict[str, str]:
    """Format -> a text that tells its demuxer to open `target`."""
    path = target.removeprefix("file://")
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n{}#EXTINF:2.0,\n{}\n#EXT-X-ENDLIST\n"
    return {
        "playlist": playlist.format("", target),
        "playlist with a map": playlist.format(f'#EXT-X-MAP:URI="{target}"\n', "a.ts"),
        "playlist with a key": playlist.format(f'#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n', target),
        "master playlist": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1280000\n{target}\n",
        "concat script": f"ffconcat version 1.0\nfile '{path}'\nfile '{target}'\n",
        "dash manifest": (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet '
            'mimeType="video/mp4"><Representation id="1" bandwidth="9" width="96" height="64" codecs="avc1.42c00b">'
            f"<BaseURL>{target}</BaseURL><SegmentBase/></Representation></AdaptationSet></Period></MPD>"
        ),
        "session description": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\na=control:{target}\n"
        "m=video 50000 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "filter script": f"movie=filename='{path}'[out0]\n",
        "image pattern": f"{path}\n",
        "external reference": f"<!DOCTYPE x [<!ENTITY y SYSTEM '{target}'>]><smil><video src='{target}'/>&y;</smil>",
    }


def _archive() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(zipfile.ZipInfo("film.mp4"), _TEXT)
    return sink.getvalue()
