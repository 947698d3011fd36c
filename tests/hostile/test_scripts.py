"""A file that points elsewhere is followed nowhere: no local file is opened, no address is called."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import pytest

from tests.hostile.corpus.clip import Clip, encode_clip
from tests.hostile.corpus.disguised import scripts
from videobert.errors import VideoError
from videobert.video.isolated import IsolatedDecoder
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipRequest

SUFFIXES = (".mp4", ".m3u8", ".mpd", ".ffconcat", ".sdp", ".txt", ".smil")
REQUEST = ClipRequest(frame_ticks=(0,), size=8)


@pytest.fixture(scope="module")
def decoder() -> IsolatedDecoder:
    return IsolatedDecoder(DecoderLimits(stall_seconds=5, tries=1))


class Server(threading.Thread):
    """Counts who calls, and hangs up at once."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.visits = 0

    def run(self) -> None:
        with suppress(OSError):
            while True:
                self._listening.accept()[0].close()
                self.visits += 1

    def stop(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.start()
    yield made
    made.stop()


def readers(pipe: Path) -> bool:
    """Whether somebody waits to read a named pipe: only then it can be opened for writing."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        return error.errno != errno.ENXIO
    return True


@pytest.mark.parametrize("note", list(scripts("")))
def test_no_script_is_followed(tmp_path: Path, decoder: IsolatedDecoder, server: Server, note: str) -> None:
    trap = tmp_path / "trap.ts"
    os.mkfifo(trap)  # who opens it hangs, and is seen
    for target in (trap.as_uri(), str(trap), f"http://{server.address}/a.ts", f"tcp://{server.address}", "trap.ts"):
        for suffix in SUFFIXES:
            path = tmp_path / f"script{suffix}"
            path.write_text(scripts(target)[note])
            for ask in (decoder.probe, decoder.subtitles, decoder.sound):
                with pytest.raises(VideoError) as caught:
                    ask(path)
                assert caught.value.reason == "undecodable"
            with pytest.raises(VideoError):
                list(decoder.clips(path, REQUEST, DecodeOptions()))
    assert not server.visits and not readers(trap)


def test_without_the_white_lists_a_script_is_followed(tmp_path: Path, server: Server) -> None:
    """The trap works: what the test above rules out does happen to whoever opens a file plainly."""
    path = tmp_path / "script.m3u8"
    path.write_text(scripts(f"http://{server.address}/a.ts")["playlist"])
    options = {"protocol_whitelist": "file,http,tcp,crypto"}
    with pytest.raises(av.FFmpegError):
        av.open(str(path), options=options)
    deadline = time.monotonic() + 5
    while not server.visits and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.visits
    video = tmp_path / "a.ts"
    video.write_bytes(encode_clip(Clip(container="mpegts")))
    (tmp_path / "script.mp4").write_text(scripts("a.ts")["concat script"])
    with av.open(str(tmp_path / "script.mp4")) as followed:
        assert followed.format.name == "concat"
