"""What one video may cost before it is refused. Standard library only; nothing here changes an output."""

from __future__ import annotations

from dataclasses import dataclass, fields

from videobert.errors import InputError

__all__ = ["DecoderLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderLimits:
    """A video above a limit becomes one dead letter and harms no other; `replay` tries it again under other limits."""

    max_pixels: int = 36_000_000
    """Width x height of a picture (8K is 35.4 million); checked before memory is taken for it."""
    max_seconds: float = 43_200.0
    """Length of a video; also stops files whose time stamps jump."""
    max_packets: int = 20_000_000
    """Packets of a file; 12 hours of 60 pictures a second with sound are 5 million."""
    memory_bytes: int = 4 << 30
    """Address space of the decoder's process; 16 reference frames of 8K take 850 MB. FFmpeg calls a picture that finds
    no room damaged, so that such a video may end as `undecodable` too."""
    stall_seconds: float = 60.0
    """Time in which the decoder must come one packet further."""
    decode_seconds: float = 14_400.0
    """Time that decoding a video, or a chunk of a long one, may take in all; waiting for the encoder does not count."""
    tries: int = 2
    """Processes that a video may crash, bloat or hang, since a full or busy machine does the same to a good one."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < float("inf"):
                raise InputError(f"limits.{field.name}={value!r} must be a positive finite number")
