"""A picture as a short video of itself, for questions by a picture.

`python -m videobert.video.still PICTURE TARGET` does it in a process of its own: pictures are as hostile as videos.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from videobert.errors import InputError
from videobert.video.limits import DecoderLimits

__all__ = ["PICTURES", "write_still", "write_still_isolated"]

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_STILL_FRAMES = 40
"""Two seconds of 20 frames: a clip of 1.5 s, with room."""
_SECONDS, _MEMORY_BYTES = 60, 4 << 30


def write_still(picture: Path, target: Path) -> None:
    """A Matroska file without loss, so that the encoder sees the picture itself. Raises InputError for what is none."""
    import av
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    most = DecoderLimits().max_pixels
    try:
        with Image.open(picture) as image:
            if image.width * image.height > most:
                raise InputError(
                    f"file {picture.name!r} is {image.width}x{image.height}, above {most} pixels: shrink it"
                )
            pixels_HW3 = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"file {picture.name!r} is no picture that can be read ({type(error).__name__}); convert it to PNG"
        ) from error
    with av.open(str(target), "w") as container:
        stream = container.add_stream("ffv1", rate=20)
        stream.height, stream.width = pixels_HW3.shape[:2]
        stream.pix_fmt = "bgr0"
        for _ in range(_STILL_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels_HW3, format="rgb24")))
        container.mux(stream.encode())


def write_still_isolated(picture: Path, target: Path) -> None:
    """The same by a process without credentials, with a limit of time and memory."""
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "PYTHONPATH")}
    command = [sys.executable, "-m", "videobert.video.still", str(picture), str(target)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"file {picture.name!r} took more than {_SECONDS} s; convert it to PNG") from error
    if done.returncode:
        raise InputError(done.stdout.strip() or f"file {picture.name!r} cannot be read; convert it to PNG")


def main() -> None:
    """For the process."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    try:
        write_still(Path(sys.argv[1]), Path(sys.argv[2]))
    except InputError as error:
        print(error)
        sys.exit(2)


if __name__ == "__main__":
    main()
