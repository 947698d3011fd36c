"""A training worker that dies once, after its first checkpoint, as one that the system kills."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from videobert.finetune.checkpoints import write_checkpoint
from videobert.finetune.job import FinetuneJob

__all__ = ["DyingJob"]


class DyingJob(FinetuneJob):
    """Leaves a mark at $DIED, and lives on where there is one."""

    def __call__(self, rank: int, world_size: int) -> None:
        mark = Path(os.environ["DIED"])

        def then_die(*arguments: Any) -> None:
            write_checkpoint(*arguments)
            if not mark.exists():
                mark.touch()
                os._exit(1)

        with patch("videobert.finetune.job.write_checkpoint", then_die):
            super().__call__(rank, world_size)
