"""One video on its way through decoder, encoder, codebook and model, a clip at a time.

N clips so far, D width of a feature, R retrieval width.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from videobert.applications.watch.captions import LiveCaptions, sidecars_of
from videobert.embed.online import catalog_row, recipe_of
from videobert.embed.worker import EmbeddedVideo, EmbedWorker
from videobert.errors import InputError
from videobert.features.core import SkippingRepeats
from videobert.features.encoders import load_encoder
from videobert.features.rows import ClipRows
from videobert.ingest.listing import uri_of
from videobert.model.scoring import encode_video, predict_visual, surprise
from videobert.runtime.manifest import load_manifest
from videobert.runtime.storage import Store
from videobert.tokens.core import Sentence, split_sentences
from videobert.tokens.footage import Footage
from videobert.tokens.records import Segment, TokenizedVideo
from videobert.tokens.worker import TokensWorker
from videobert.video.isolated import IsolatedClips, IsolatedDecoder
from videobert.video.limits import DecoderLimits

__all__ = ["Finished", "Session"]

logger = logging.getLogger(__name__)

_BEFORE = 16
"""Clips of the past from which one is expected and the next are foretold; what training calls a segment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The video as a batch would hold it."""

    sample: dict[str, Any]
    """Its tokens."""
    video: TokenizedVideo
    embedded: EmbeddedVideo
    table: pa.Table
    """Its rows with their lineage."""


class Session:
    """Everything that a clip passes through, loaded once; what the clips so far say. Good for one video.

    Memory holds a token per clip, never pictures; features lie in a temporary file. Raises InputError when `encoder` is
    not the one that the model learnt from.
    """

    def __init__(self, store: Store, embed_spec: str, path: Path, *, encoder: str, stack: ExitStack) -> None:
        self._store, self._path = store, path
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="videobert-")))
        videos = self._folder / "videos"
        videos.mkdir()
        self._recipe = recipe_of(store, embed_spec, encoder=encoder, videos=videos, limits=DecoderLimits())
        self._options = self._recipe.features.decoding
        model = load_manifest(store, "pretrain", embed_spec.rsplit(".", 1)[0], "")
        codebook = load_manifest(store, "codebook", model.facts["codebook_spec"], "") if model else None
        if model is None or codebook is None:
            raise InputError(f"the model or the codebook of {embed_spec} is gone; run the pipeline again")
        self._encoder = load_encoder(self._recipe.features)
        self._tokens = TokensWorker(self._recipe.tokens, store, codebook)
        self._embed = EmbedWorker(self._recipe.embed, store, model)
        self.model = self._embed.model
        self._captions = LiveCaptions(path, language=self._recipe.ingest.language)
        self._sentences: list[Sentence] = []
        self._spool = stack.enter_context((self._folder / "vectors").open("w+b"))
        self._decoder = IsolatedDecoder(self._recipe.features.limits)
        stack.callback(self._decoder.close)
        self._begin()

    def _begin(self) -> None:
        self._spool.truncate(self._spool.seek(0))
        self._rows = ClipRows(self._spool, dimension=self._encoder.dimension, options=self._options)
        self._encode = SkippingRepeats(self._encoder)
        self._starts_N, self._ends_N = np.empty(0), np.empty(0)
        self.video = TokenizedVideo(video_id="", visual=np.empty(0, np.int32), segments=())
        self._told: set[tuple[int, int, str]] = set()
        self._finished: Finished | None = None

    def clips(self, *, follow: float) -> Iterator[int]:
        """Number of clips so far, after each; the video is finished when they end.

        Raises VideoError where a batch would have a dead letter.
        """
        source = self._decoder.clips(self._path, self._encoder.request, self._options, follow_seconds=follow)
        yield from self._read(source)
        if source.zero_moved:
            logger.info("the header of the finished file tells another start than its first second did; reading again")
            self._begin()
            source = self._decoder.clips(self._path, self._encoder.request, self._options)
            for _ in self._read(source):
                pass
        for start, end in source.damaged:
            logger.warning("%s is damaged from %.1f to %.1f s; these clips are left out", self._path.name, start, end)
        self._finished = self._finish(source)

    def _read(self, source: IsolatedClips) -> Iterator[int]:
        with closing(iter(source)) as clips:
            for clip in clips:
                vectors_1D = self._encode([clip])
                self._rows.add(np.array([clip.index], np.int32), vectors_1D)
                self._add(clip.index, vectors_1D)
                yield len(self.video.visual)

    def _add(self, index: int, vectors_1D: NDArray[np.float32]) -> None:
        start = index * float(self._options.stride)
        self._starts_N = np.append(self._starts_N, start)
        self._ends_N = np.append(self._ends_N, start + self._options.clip_seconds)
        visual_1, residuals_1K = self._tokens.quantised(vectors_1D)
        visual_N = np.append(self.video.visual, visual_1)
        if residuals_1K is not None and self.video.residuals is not None:
            residuals_1K = np.concatenate([self.video.residuals, residuals_1K])
        if self._captions.changed():
            self._sentences = split_sentences(self._captions.cues, self._recipe.tokens)
        segments = self._tokens.segments(self._sentences, self._starts_N, self._ends_N)
        self.video = replace(self.video, visual=visual_N, residuals=residuals_1K, segments=segments)

    def closed(self) -> list[Segment]:
        """Segments that came to an end since this was last asked: their clips and those around were seen."""
        beyond = max(1, self.model.reading.context_clips)
        found = [s for s in self.video.segments if s.last_clip + beyond <= len(self.video.visual)]
        new = [s for s in found if (s.first_clip, s.last_clip, s.text) not in self._told]
        self._told.update((s.first_clip, s.last_clip, s.text) for s in new)
        return new

    def seconds(self, first: int, last: int) -> tuple[float, float]:
        """When clips first .. last-1 begin and end."""
        return float(self._starts_N[first]), float(self._ends_N[last - 1])

    def vector(self, first: int, last: int) -> NDArray[np.float32]:
        """Unit vector [R] of clips first .. last-1 among those that were seen."""
        span = self.video.footage(first, last, around=self.model.reading.context_clips)
        unit_R: NDArray[np.float32] = encode_video(self.model, [span])[0]
        return unit_R

    def surprise(self) -> float:
        """-log P(token of the last clip | those before it) in nats."""
        end = len(self.video.visual)
        past = self.video.footage(max(0, end - 1 - _BEFORE), end)
        return float(surprise(self.model, [past], [len(past) - 1], around=0)[0])

    def forecast(self, clips: int) -> tuple[list[int], NDArray[np.float32]]:
        """The likeliest tokens of the next clips, and the unit vector [R] of a span of them."""
        end = len(self.video.visual)
        past = self.video.footage(max(0, end - _BEFORE), end)
        leaves_P = predict_visual(self.model, [None], [past], places=clips, k=1).leaves[0, :, 0]
        return leaves_P.tolist(), encode_video(self.model, [Footage.plain(leaves_P)])[0]

    @property
    def finished(self) -> Finished:
        """Once the clips have ended."""
        assert self._finished is not None
        return self._finished

    def _finish(self, source: IsolatedClips) -> Finished:
        """By the code of the stages, over all clips at once: bit for bit what a batch would hold."""
        videos = self._folder / "videos"
        for path in (self._path, *sidecars_of(self._path)):
            (videos / path.name).symlink_to(path.absolute())
        row = catalog_row(self._recipe, self._store, self._folder / "work")
        row["uri"] = uri_of(str(self._path.absolute().parent)) + self._path.name
        self._rows.keep(row["video_id"], source.damaged, held_from=source.held_from)
        self._rows.write(self._folder / "rows.parquet")
        sample, video = self._tokens.sample(
            row, pq.read_table(self._folder / "rows.parquet"), self._tokens.sentences(row)
        )
        if video.residuals is not None:
            sample["residuals"] = video.residuals
        embedded = self._embed.of_sample(sample)
        table = self._embed.table([embedded], batch="", shard=0)
        return Finished(sample=sample, video=video, embedded=embedded, table=table)
