"""What may vary when videos are listed and captions are found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar

from videobert.errors import InputError
from videobert.video.limits import DecoderLimits

__all__ = ["IngestConfig"]

_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """Where a batch's videos lie and how their captions are found."""

    NOT_IN_SPEC: ClassVar[tuple[str, ...]] = ("source", "limits")

    source: str = "{root}/incoming/videos/{batch}"
    """Prefix of a batch's videos: any path or fsspec URL; `{batch}` and `{root}` are filled in."""
    extensions: tuple[str, ...] = (
        ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".mk3d", ".webm", ".avi", ".divx", ".mpg", ".mpeg",
        ".mpe", ".m1v", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".m2t", ".tod", ".mod", ".ogv", ".ogm", ".gif", ".flv",
        ".f4v", ".wmv", ".asf",
    )  # fmt: skip
    """Endings, in lower case, of the files taken as videos."""
    files_per_part: int = 64
    """Videos a catalog part; a new file opens a new part and costs only its own work."""
    speech_model: str = ""
    """Whisper model for videos without captions: a directory, a Hugging Face id, or `packaged`; empty for none."""
    language: str = ""
    """Preferred language of captions as a BCP 47 tag, such as `en` or `zh-Hans`; others are taken only where there
    are none in it. Empty: those without a language in their name first."""
    limits: DecoderLimits = field(default_factory=DecoderLimits)
    """What one video may cost."""

    def __post_init__(self) -> None:
        if not self.source:
            raise InputError(
                "ingest.source is empty; give the prefix of the videos, such as s3://bucket/videos/{batch}"
            )
        if self.files_per_part < 1:
            raise InputError(f"ingest.files_per_part is {self.files_per_part}; it must be at least 1")
        if self.language and not _TAG.fullmatch(self.language):
            raise InputError(f"ingest.language is {self.language!r}; give a tag such as 'en', 'pt-BR' or 'zh-Hans'")
        for extension in self.extensions:
            if not extension.startswith(".") or extension != extension.lower():
                raise InputError(
                    f"ingest.extensions holds {extension!r}; write it with a dot in lower case, like '.mp4'"
                )
