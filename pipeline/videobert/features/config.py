"""What may vary in the feature stage (section 1 of VideoBERT, arXiv 1904.01766). Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from videobert.errors import InputError
from videobert.video.limits import DecoderLimits
from videobert.video.options import ClipTiming, DecodeOptions

__all__ = ["FeaturesConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesConfig(ClipTiming):
    """From decoded frames to one vector a clip; the defaults are the paper's 30 frames at 20 fps = 1.5 s."""

    OUTPUT_FIELDS: ClassVar[tuple[str, ...]] = ("encoder", "fps", "clip_seconds", "frames_per_clip", "autocast")
    """The fields that change a feature vector, with those of `ADDED_LATER`. `encoder` names weights: hash
    `encoders.output_identity(config)`, which puts the digest of the weights in its place, so that moving a model
    directory recomputes nothing. The limits only decide which videos are refused; `replay` tries those again."""
    ADDED_LATER: ClassVar[Mapping[str, object]] = {
        "decoder": "cpu", "clip_stride": None, "last_clip": "drop", "crop": 0.0, "flip": 0.0, "colour": 0.0, "view": 0,
    }  # fmt: skip
    """Fields that came after the first release and enter a spec only with another value than this."""

    encoder: str = "packaged"
    """`packaged`, `hf:<Hugging Face id or local directory>`, or `torchvision:s3d`."""
    fps: float = 20.0
    """Ticks a second at which the video is sampled."""
    clip_seconds: float = 1.5
    """Length of a clip."""
    clip_stride: float | None = None
    """Seconds from the start of a clip to the start of the next, for clips that overlap; none: `clip_seconds`, so that
    they do not, as in the paper."""
    last_clip: Literal["drop", "hold"] = "drop"
    """What becomes of the pictures after the last whole clip. `drop` leaves them out, as the paper does; `hold` makes
    one more clip, whose last picture is held to its end. A video shorter than one clip always gives one such clip. Its
    row ends when the pictures end, and the file's metadata names it."""
    frames_per_clip: int | None = None
    """Frames of a clip that the encoder sees, evenly spread; none: what fits the encoder."""
    autocast: Literal["off", "bf16", "fp16"] = "off"
    """Arithmetic of torch encoders on a GPU; `off` is float32. Ignored on CPU."""
    device: str = "auto"
    """`auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:<index>`."""
    decoder: Literal["cpu", "nvdec"] = "cpu"
    """`nvdec`: the video engine of the GPU, for codecs that it knows. It conceals damage within a picture and does not
    tell, where the CPU's decoder does and the clip is left out: for videos that are known to be whole. Other features,
    so another spec, though undamaged pictures are the same."""
    crop: float = 0.0
    """For another view of the videos to fine-tune on (`finetune.views`): share of width and height that may be cut off,
    drawn for each video, as are the next two."""
    flip: float = 0.0
    """Chance that a video is mirrored."""
    colour: float = 0.0
    """Largest change of the gain of red, green, blue and of the contrast: 0.2 draws factors from 0.8 to 1.2."""
    view: int = 0
    """Number of the view: another one, other draws."""
    batch_clips: int = 8
    """Clips a call of a GPU encoder; on CPU every clip is its own call, so that nothing depends on its neighbours."""
    decode_ahead: int = 32
    """Clips that may wait, decoded, for the encoder, besides the batch in its hand and the next; bounds the memory of a
    worker. Enough that a video which decodes slowly does not idle the encoder after one that decodes quickly."""
    chunk_minutes: float = 30.0
    """A longer video is decoded in chunks of at most this length by as many workers as there are, when it leads its
    tar, as every one above `shard.shard_bytes` does. Changes no output."""
    limits: DecoderLimits = field(default_factory=DecoderLimits)
    """What one video may cost."""

    def __post_init__(self) -> None:
        if not 0 < self.chunk_minutes < float("inf"):
            raise InputError(f"chunk_minutes={self.chunk_minutes!r} must be a positive finite number")
        for name in ("batch_clips", "decode_ahead"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)!r} must be at least 1")
        if self.frames_per_clip is not None and self.frames_per_clip < 1:
            raise InputError(f"frames_per_clip={self.frames_per_clip!r} must be at least 1, or none for the default")
        if self.autocast not in ("off", "bf16", "fp16"):
            raise InputError(f"autocast={self.autocast!r} is unknown; choose off, bf16 or fp16")
        if self.decoder not in ("cpu", "nvdec"):
            raise InputError(f"decoder={self.decoder!r} is unknown; choose cpu or nvdec")
        if self.decoder == "nvdec" and self.device == "cpu":
            raise InputError("decoder='nvdec' is part of a GPU, and device='cpu' asks for none; set one of them")
        if not (0 <= self.crop < 1 and 0 <= self.flip <= 1 and 0 <= self.colour < 1):
            raise InputError(
                f"crop={self.crop!r}, flip={self.flip!r}, colour={self.colour!r} is no view of a video; give a "
                "share and a change below 1, and a chance of at most 1"
            )
        if self.is_view and self.decoder == "nvdec":
            raise InputError(
                "decoder='nvdec' and another view of the pixels were not made for each other; leave one out"
            )
        if self.view and not self.is_view:
            raise InputError(f"view={self.view!r} changes nothing without crop, flip or colour; set one of them")
        if self.device not in ("auto", "cpu", "cuda") and not self.device.removeprefix("cuda:").isdigit():
            raise InputError(f"device={self.device!r} is unknown; choose auto, cpu, cuda or cuda:<index>")
        _ = self.decoding  # which checks its own fields

    @property
    def is_view(self) -> bool:
        """Whether the pixels are changed before they are encoded."""
        return bool(self.crop or self.flip or self.colour)

    @property
    def plain(self) -> FeaturesConfig:
        """The same of the pixels as they are."""
        return replace(self, crop=0.0, flip=0.0, colour=0.0, view=0)

    @property
    def decoding(self) -> DecodeOptions:
        """What the decoder has to know."""
        return DecodeOptions(
            fps=self.fps,
            clip_seconds=self.clip_seconds,
            clip_stride=self.clip_stride,
            last_clip=self.last_clip,
            decoding_gpu=self.decoding_gpu,
        )

    @property
    def decoding_gpu(self) -> int | None:
        """The GPU whose video engine decodes; none: the CPU does."""
        if self.decoder == "cpu":
            return None
        return int(self.device.partition(":")[2] or 0)
