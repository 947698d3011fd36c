"""`videobert youcook`: the paper's zero-shot table on YouCook II."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import tyro

from videobert.batch_key import parse_batch_keys
from videobert.errors import InputError
from videobert.query.model import open_model
from videobert.recipes import get_recipe
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.filesystem import open_filesystem
from videobert.runtime.storage import Store

__all__ = ["YoucookCommand"]

BATCH = "youcook2"


@dataclass(frozen=True, kw_only=True)
class YoucookCommand:
    """Rank verbs and objects of YouCook II's clips without training on them, as the paper's table does."""

    annotations: tyro.conf.Positional[str]
    """Path or URL of youcookii_annotations_trainval.json, or a file in its format."""
    root: str
    """Root of the pipeline."""
    videos: str = ""
    """Prefix of the videos, named by YouTube id (ID.mp4): they run through the stages up to tokens as the batch
    `youcook2`. Empty: they are in the pipeline already, tokenised for the model."""
    batch: str = ""
    """Only the videos of these batches, separated by commas; not with `videos`."""
    recipe: str = "demo"
    """Recipe that made the model; used with `videos`."""
    subset: Literal["training", "validation", "testing"] = "validation"
    """Part of the annotations that is asked; the word lists come from all of them."""
    processes: int = 1
    """Local processes that compute the stages; used with `videos`."""
    model: str = "current"
    """Model spec; `current` is the promoted one."""

    def execute(self) -> None:
        from videobert.evaluate.youcook import parse_annotations, word_lists

        if self.videos and self.batch:
            raise InputError(f"--batch {self.batch} and --videos exclude each other: give the videos or their batches")
        filesystem, path = open_filesystem(self.annotations)
        try:
            data = bytes(filesystem.cat_file(path))
        except FileNotFoundError as error:
            raise InputError(f"annotations {self.annotations} are not there; correct the path or URL") from error
        lists = word_lists(clip.caption for clip in parse_annotations(data, self.annotations))
        clips = parse_annotations(data, self.annotations, subset=self.subset)
        store = Store(self.root)
        if self.videos:
            self._tokenise(store)
        opened = open_model(store, self.model)
        from videobert.evaluate.action_table import action_table

        batches = [BATCH] if self.videos else list(parse_batch_keys(self.batch))
        table = action_table(opened, clips, lists, batches=batches)
        print(f"{'per cent':<28}{'verb@1':>9}{'verb@5':>9}{'object@1':>10}{'object@5':>10}")
        for name, *shares in table.rows:
            verb_1, verb_5, noun_1, noun_5 = (100 * share for share in shares)
            print(f"{name:<28}{verb_1:>9.1f}{verb_5:>9.1f}{noun_1:>10.1f}{noun_5:>10.1f}")
        print(f"{table.clips} clips of the {self.subset} set; left out: {_counts(table.left_out)}")
        print(f"{len(lists.verbs)} verbs: {' '.join(lists.verbs)}")
        print(f"{len(lists.nouns)} objects: {' '.join(lists.nouns)}")
        print(f"more than one word piece, so never answered: {' '.join(table.not_in_vocabulary) or 'none'}")

    def _tokenise(self, store: Store) -> None:
        from videobert.flow import run_stage

        store.check_root()
        recipe = get_recipe(self.recipe)
        recipe = replace(recipe, ingest=replace(recipe.ingest, source=self.videos))
        for stage in ("ingest", "shard", "features", "tokens"):
            run_stage(
                recipe, store, stage, batches=(BATCH,), selection=Selection(model=self.model),
                executor=LocalExecutor(self.processes),
            )  # fmt: skip


def _counts(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in left_out.items())
