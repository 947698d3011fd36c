"""`summarise`: the clips that stand for a video."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import videobert
from videobert.application import Application
from videobert.applications.summarise.clips import VideoClips, open_clips
from videobert.applications.summarise.objective import Material, best_subset
from videobert.errors import InputError
from videobert.query.embeddings import resolve_embed_spec
from videobert.runtime.record_files import write_file
from videobert.runtime.storage import Store

if TYPE_CHECKING:
    from videobert.api import Root

__all__ = ["KeyClip", "Summarise"]

_ENDINGS = {"mp4": "mp4", "png": "png", "jpg": "jpeg", "json": "json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyClip:
    """One clip of a summary."""

    video_id: str
    clip: int
    """Its number among the clips of the video."""
    start_seconds: float
    end_seconds: float
    frame_seconds: float
    """Its key frame: the middle."""
    text: str
    """What is said meanwhile; empty where nothing is, and where the clip before has the same sentence."""
    title: str
    source_uri: str
    features: str
    """Spec of the features that were compared."""
    model: str
    """Name of the embeddings, which begins with the model's spec."""


@dataclass(frozen=True, kw_only=True)
class Summarise(Application[KeyClip]):
    """Choose the clips that stand for a video, within a number of seconds.

    videobert summarise --root demo --video VIDEO_ID --seconds 9

    videobert summarise --root demo --video VIDEO_ID --share 0.1 --out summary.mp4

    videobert summarise --root demo --video VIDEO_ID --seconds 6 --text "stir the egg" --out summary.jpg

    The clips cover what there is to see, differ from each other and, with --text, fit it. Never longer than asked.
    Prints them with what is said meanwhile; --out writes a film without sound (.mp4), a sheet of key frames (.jpg,
    .png) or .json. Pictures need the extra `worker`, and so does --text.
    """

    video: str
    """Id of the video."""
    seconds: float = 0.0
    """Longest summary; 0: --share decides."""
    share: float = 0.0
    """Longest summary as a share of the video, such as 0.1."""
    text: str = ""
    """What the summary is to be about."""
    diversity: float = 0.3
    """Weight of showing different things, 0 to 1, versus having something like every clip."""
    out: str = ""
    """File to write to, a path or a URL; empty: print the clips."""
    pixels: int = 230_400
    """Size of a frame in a film; a sheet has a quarter of it per frame."""

    def __post_init__(self) -> None:
        if (self.seconds > 0) == (self.share > 0) or self.seconds < 0 or not 0 <= self.share <= 1:
            raise InputError(
                f"seconds {self.seconds:g} and share {self.share:g} are no budget; give seconds above 0, or a share up "
                "to 1"
            )
        if not 0 <= self.diversity <= 1:
            raise InputError(f"diversity is {self.diversity}; give 0 to 1")
        if self.out and self.out.rpartition(".")[2] not in _ENDINGS:
            raise InputError(f"{self.out!r} ends in none of {', '.join(_ENDINGS)}; name it so")

    def answer(self, root: Root) -> Iterator[KeyClip]:
        store = Store(self.root)
        spec = resolve_embed_spec(store, self.model)
        clips = open_clips(store, spec, self.video.partition(":")[0])
        return self._records(clips, self._choose(root, clips), spec)

    def line(self, record: KeyClip) -> str:
        return f"{record.start_seconds:7.1f}-{record.end_seconds:<7.1f} {record.text}"

    def execute(self) -> None:
        if not self.out:
            super().execute()
            return
        found = list(self.answer(videobert.open(self.root)))
        write_file(self.out, self._rendered(found))
        seconds = sum(clip.end_seconds - clip.start_seconds for clip in found)
        print(f"{len(found)} clips, {seconds:.1f} s: {self.out}")

    def _choose(self, root: Root, clips: VideoClips) -> NDArray[np.int64]:
        seconds_N = clips.end_N - clips.start_N
        budget = self.seconds or self.share * float(seconds_N.sum())
        if budget < seconds_N.min():
            raise InputError(
                f"{budget:.2f} s is shorter than any clip of {self.video}: the shortest has {seconds_N.min():.2f} s"
            )
        relevance_N = None
        if self.text:
            relevance_N = _relevance(clips, root.encode(self.text, model=self.model))
        material = Material(
            vectors_ND=clips.features_ND, tokens_N=clips.tokens_N, seconds_N=seconds_N, relevance_N=relevance_N,
            diversity=self.diversity,
        )  # fmt: skip
        return best_subset(material, budget)

    def _records(self, clips: VideoClips, chosen: NDArray[np.int64], spec: str) -> Iterator[KeyClip]:
        told = None
        for clip in chosen.tolist():
            segment = clips.segment_of(clip)
            start, end = float(clips.start_N[clip]), float(clips.end_N[clip])
            key = (segment.get("start_seconds"), segment.get("text"))
            yield KeyClip(
                video_id=clips.lineage.video_id, clip=clip, start_seconds=start, end_seconds=end,
                frame_seconds=(start + end) / 2, text="" if key == told else segment.get("text", ""),
                title=clips.segments[0]["title"] if clips.segments else "", source_uri=clips.lineage.source_uri,
                features=clips.lineage.step("features").spec, model=spec,
            )  # fmt: skip
            told = key

    def _rendered(self, found: Sequence[KeyClip]) -> bytes:
        kind = _ENDINGS[self.out.rpartition(".")[2]]
        if kind == "json":
            return json.dumps([asdict(clip) for clip in found], indent=1).encode()
        try:
            from videobert.applications.summarise.pictures import contact_sheet, film
        except ImportError as error:
            raise InputError(
                f"pictures need {error.name}, and .json does not; pip install 'videobert-pipeline[worker]'"
            ) from error
        store = Store(self.root)
        clips = open_clips(store, resolve_embed_spec(store, self.model), found[0].video_id)
        tar, video_id = clips.path(store, "shard"), found[0].video_id
        number = {clip: round(clip.start_seconds / float(clips.options.stride)) for clip in found}
        if kind == "mp4":
            seconds = {number[clip]: clip.end_seconds - clip.start_seconds for clip in found}
            return film(store, tar, video_id, seconds, clips.options, pixels=self.pixels)
        words = {number[clip]: f"{clip.start_seconds:.1f} s  {clip.text}" for clip in found}
        return contact_sheet(store, tar, video_id, words, clips.options, pixels=self.pixels, kind=kind)


def _relevance(clips: VideoClips, query_R: NDArray[np.float32]) -> NDArray[np.float64]:
    """How well the segment of each clip fits a text, from 0, the worst of the video, to 1, the best."""
    cosine_N = np.array(
        [float(np.dot(segment["embedding"], query_R)) if (segment := clips.segment_of(clip)) else -1.0
         for clip in range(len(clips.start_N))]
    )  # fmt: skip
    span = cosine_N.max() - cosine_N.min()
    return np.asarray((cosine_N - cosine_N.min()) / span if span > 0 else np.zeros(len(cosine_N)))
