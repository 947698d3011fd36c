"""The process behind `jobs.Jobs`: `python -m videobert.serve.embed_child` embeds one video and ends.

Takes an order in JSON; answers in JSON, a line for each stage that begins, and one with the rows or the error.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

from videobert.embed.online import embed_video
from videobert.errors import PipelineError, VideoError
from videobert.runtime.storage import Store
from videobert.video.limits import DecoderLimits

__all__ = ["main"]


def main() -> None:
    """Take one order."""
    order = json.loads(sys.stdin.readline())
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a library prints is no answer

        def say(**told: object) -> None:
            answers.write(json.dumps(told) + "\n")
            answers.flush()

        try:
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


if __name__ == "__main__":
    main()
