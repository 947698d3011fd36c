"""Dead letters as something to look at: the last picture before a video broke, from the shard that holds it."""

from __future__ import annotations

from videobert.api import DeadLetter
from videobert.errors import InputError
from videobert.query.footage import Footage, footage_in
from videobert.runtime.manifest import load_manifest
from videobert.runtime.storage import Store

__all__ = ["footage_of_letter", "has_footage"]


def has_footage(letter: DeadLetter) -> bool:
    """Whether a shard holds the video: then a later stage broke on it. What came into no shard has no picture."""
    return bool(letter.video_id) and letter.stage not in ("ingest", "shard")


def footage_of_letter(store: Store, letter: DeadLetter) -> Footage:
    """The video of a dead letter. Never by its address, which is a stranger's text. Raises InputError without one."""
    if not has_footage(letter):
        raise InputError(f"no shard holds video {letter.video_id!r}, which {letter.stage} refused; see its message")
    stage, spec = letter.stage, letter.spec
    while stage != "shard":
        manifest = load_manifest(store, stage, spec, letter.batch)
        if manifest is None:
            raise InputError(f"{stage} {spec} of batch {letter.batch} is gone; run that stage again")
        sources = {source.stage: source.spec for source in manifest.sources if source.batch}
        stage = "shard" if "shard" in sources else next(iter(sources), "")
        if not stage:
            raise InputError(f"{manifest.stage} {manifest.spec} was made from no shard")
        spec = sources[stage]
    shards = load_manifest(store, "shard", spec, letter.batch)
    for output in shards.outputs if shards else ():
        if output.shard == letter.shard:
            return footage_in(store, output.path, output.sha256, letter.video_id)
    raise InputError(f"shard {letter.shard} of {spec} is gone; run the stage shard of batch {letter.batch} again")
