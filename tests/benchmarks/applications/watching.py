"""How long after the end of a clip `videobert watch` tells of it, while a file is written at the speed of a camera.

    python -m tests.benchmarks.applications.watching demo VIDEO --seconds 60

Another process appends a transport stream as a broadcast comes: each packet when its picture is due, of 25 a second.
Prints the delay of clips in seconds: median, ninth decile and largest, and what share of two cores it took.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame

__all__ = ["main"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    with tempfile.TemporaryDirectory() as name:
        live = Path(name) / "live.ts"
        command = [sys.executable, "-m", "videobert", "watch", "--root", given.root, "--file", str(live)]
        watching = subprocess.Popen(
            [*command, "--follow", "20", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert watching.stdout is not None and watching.stderr is not None
        while "ready to watch" not in (line := watching.stderr.readline()):
            print(line, end="")
            if not line:
                raise SystemExit(watching.wait())
        began: list[float] = []
        writer = threading.Thread(target=_broadcast, args=(given.video, live, given.seconds, began))
        writer.start()
        delays = []
        for line in watching.stdout:
            record = json.loads(line)
            if record["kind"] == "clip":
                delays.append(time.monotonic() - began[0] - record["end_seconds"])
        writer.join()
        if watching.wait():
            raise SystemExit(watching.returncode)
    last = delays.pop()  # known to be whole when the file has ended
    delays.sort()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    middle, most = delays[len(delays) // 2], delays[len(delays) * 9 // 10]
    print(f"{len(delays)} clips: median {middle:.2f} s, ninth decile {most:.2f} s, largest {delays[-1]:.2f} s; bar 3 s")
    print(f"the last clip, whose end is that of the file: {last - 20:.2f} s after the 20 s of --follow")
    print(f"{used.ru_utime + used.ru_stime:.0f} s of processor, {used.ru_maxrss / 1024:.0f} MB at most")


def _broadcast(video: Path, live: Path, seconds: float, began: list[float]) -> None:
    """The video from its start on, again and again, encoded before it is due."""
    with av.open(str(live), "w", format="mpegts", options={"flush_packets": "1"}) as made:
        stream = made.add_stream("libx264", rate=25, options={"g": "50", "preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        began.append(time.monotonic())
        for number, frame in enumerate(_frames(video, round(25 * seconds))):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            packets = stream.encode(frame)
            time.sleep(max(0.0, began[0] + (number + 1) / 25 - time.monotonic()))
            made.mux(packets)
        made.mux(stream.encode(None))


def _frames(video: Path, count: int) -> Iterator[VideoFrame]:
    given = 0
    while given < count:
        with av.open(str(video)) as source:
            for frame in source.decode(video=0):
                if given == count:
                    return
                given += 1
                yield frame.reformat(width=320, height=240, format="yuv420p")


if __name__ == "__main__":
    main()
