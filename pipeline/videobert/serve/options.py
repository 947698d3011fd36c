"""What a service may take and keep. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, fields

from videobert.errors import InputError

__all__ = ["ServeOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Limits of one process that serves a root."""

    fresh_seconds: float = 2.0
    """How long an answer may lag behind the root: a promotion and a new batch are seen after so many seconds."""
    most_requests: int = 128
    """Requests at the same time; more are refused with 503."""
    rate: float = 100.0
    """Requests a second that one client may make for long; above it 429."""
    burst: int = 500
    """Requests that one client may make at once."""
    most_hits: int = 1000
    """How deep the pages of a search go."""
    cache_bytes: int = 2 << 30
    """Copies of videos, excerpts and pictures on the disk of this machine, gone when the service ends."""
    decoders: int = 2
    """Processes that decode."""
    most_excerpt_seconds: float = 120.0
    """Length of an excerpt that is made for a browser that cannot play the source."""
    most_upload_bytes: int = 2 << 30
    """Of one request; more is refused with 413."""
    most_upload_seconds: float = 7200.0
    """Length of an uploaded video."""
    most_waiting: int = 8
    """Uploaded videos that may wait, and that may arrive at the same time; one at a time is embedded."""
    most_job_seconds: float = 3600.0
    """Time that embedding one may take."""
    jobs_remembered: int = 64
    """Uploaded videos whose vectors are kept in memory after they were embedded."""
    encoder: str = "packaged"
    """The encoder that the model learnt from, as `--features.encoder`; only uploaded videos need it."""
    applications: str = ""
    """Folder of what applications wrote, NAME/TABLE.parquet, a path or a URL, as VIDEOBERT_APPLICATIONS_OUT; empty:
    their page shows none."""
    watch: str = ""
    """Folder of videos, or files with commas between them, on this machine, that readers may have watched as they
    grow; empty: none."""
    watch_per_hour: float = 0.0
    """Alarms per hour of a watched video that is as it should be; 0: none."""
    watch_seconds: float = 10.0
    """A watched file that has not grown for so long has ended."""
    watch_left_seconds: float = 90.0
    """How long a file is watched after a reader last asked; browsers ask once a minute for a page that is hidden."""
    watchers: int = 2
    """Files that are watched at the same time, each in a process that holds the model."""
    watch_records: int = 1000
    """The last ones of a watched file, which are kept in memory."""
    warm_bytes: int = 1 << 30
    """Rows of a model that are kept in memory for searches, up to so many bytes, of two models; more are read from
    the files each time, for which an index helps."""
    models: int = 2
    """Loaded models; the one that was asked longest ago makes room."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str):
                continue
            if not 0 < value < float("inf") and (field.name, value) != ("watch_per_hour", 0):
                raise InputError(f"serve.{field.name}={value!r} must be a positive finite number")
        if "\0" in self.watch or (self.watch and not self.watch.replace(",", "").strip()):
            raise InputError(f"serve.watch={self.watch!r} names nothing; give a folder, or files with commas")
        if "://" in self.watch:
            raise InputError(f"serve.watch={self.watch!r} is an address; give files of this machine, which can grow")
