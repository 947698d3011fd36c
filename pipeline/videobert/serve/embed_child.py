"""The process behind `jobs.Jobs`: `python -m videobert.serve.embed_child` embeds one video and ends.

Takes an order in JSON; answers in JSON, a line for each stage that begins, and one with the rows or the error.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from videobert.embed.online import embed_video
from videobert.errors import PipelineError, VideoError
from videobert.runtime.storage import Store
from videobert.serve.child import answering, take_order
from videobert.video.limits import DecoderLimits
from videobert.video.still import PICTURES, write_still_isolated

__all__ = ["main"]


def main() -> None:
    """Take one order."""
    order = take_order()
    with answering() as say:
        try:
            _make_videos_of_pictures(Path(order["videos"]))
            rows = embed_video(
                Store(order["root"]), order["spec"], Path(order["videos"]), Path(order["work"]),
                encoder=order["encoder"], limits=DecoderLimits(max_seconds=order["most_seconds"]),
                begin=lambda stage: say(stage=stage),
            )  # fmt: skip
        except VideoError as error:
            say(error=f"{error.reason}: {error}")
        except PipelineError as error:
            say(error=str(error))
        else:
            say(rows=[dataclasses.asdict(row) for row in rows])


def _make_videos_of_pictures(folder: Path) -> None:
    for path in list(folder.iterdir()):
        if path.suffix in PICTURES:
            write_still_isolated(path, path.with_suffix(".mkv"))
            path.unlink()


if __name__ == "__main__":
    main()
