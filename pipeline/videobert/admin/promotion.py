"""Promotion: when the gates hold and every batch is embedded, readers turn to another model in one write.

No run that ends well leaves its batch invisible to readers. Two rules see to it, whatever runs at the same time:

    promotion   embeds what readers would miss, moves the pointer, and looks again: what was committed between its
                look and its move is embedded before it ends well
    embed       with the promoted model looks at the pointer again after its commit, and embeds once more where readers
                have turned to another model meanwhile (`videobert.admin.promoted`)

Features committed before the move are thus found by promotion's second look; later ones by a run that reads the new
pointer.
"""

from __future__ import annotations

import dataclasses
import logging
import time

from videobert.admin.coverage import embed_batches, find_missing
from videobert.admin.evaluations import check_gates, find_reports
from videobert.embed.stage import EMBED
from videobert.errors import ConflictError, InputError, PipelineError
from videobert.recipes import Recipe
from videobert.runtime.executor import Executor
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.pointer import Pointer, move_pointer, read_pointer
from videobert.runtime.storage import Store

__all__ = ["promote", "roll_back"]

_MOST_FORMER = 20
_ROUNDS = 6
"""Looks at what is missing, each followed by one step: without new data there are two, to move and to look again."""
_PAUSE_SECONDS = 60.0
"""Before the next look, where another run is just changing a batch."""

_log = logging.getLogger(__name__)


def promote(
    recipe: Recipe, store: Store, model_spec: str, *, force: bool = False, executor: Executor | None = None
) -> str:
    """Point readers at a model, once every batch is embedded with it; returns what was done in one sentence.

    Raises InputError when the model or its report is missing, when a gate is missed (unless `force`), or when a batch
    is not embedded and there is no executor to do it; PipelineError when batches come in faster than they are embedded;
    ConflictError when another run leaves a batch half changed for minutes.
    """
    model = load_manifest(store, "pretrain", model_spec, "")
    if model is None:
        raise InputError(
            f"model {model_spec!r} is not committed below {store.root}; `videobert models` lists the models"
        )
    if not force:
        check_gates(store, model_spec)
    target = Pointer(
        model_spec=model.spec, embed_spec=EMBED.spec(recipe.embed, {"pretrain": model.spec}),
        report=_report(store, model),
    )  # fmt: skip
    return _turn_readers(recipe, store, model, target, executor)


def roll_back(recipe: Recipe, store: Store, *, executor: Executor | None = None) -> str:
    """Point readers at the embeddings they took before, once every batch of today is in them; returns what was done.

    Raises InputError when there is no former model, or when it cannot embed what has come in since.
    """
    current = read_pointer(store)
    if current is None or not current.former:
        raise InputError(f"{store.root} has no former model to go back to; `videobert models` lists what there is")
    spec, *older = current.former
    model = load_manifest(store, "pretrain", spec.rsplit(".", 1)[0], "")
    if model is None:
        raise InputError(f"the former model of embeddings/model={spec} is gone; promote another by hand")
    target = Pointer(model_spec=model.spec, embed_spec=spec, report=_report(store, model), former=tuple(older))
    return _turn_readers(recipe, store, model, target, executor, back=True)


def _turn_readers(
    recipe: Recipe, store: Store, model: Manifest, target: Pointer, executor: Executor | None, *, back: bool = False
) -> str:
    done = f"{model.spec} is promoted already"
    readable: set[str] = set()
    for number in range(1, _ROUNDS + 1):
        now = read_pointer(store)
        if now:
            readable |= {now.embed_spec, *now.former[:1]}  # a promotion that was killed after its move is looked after
        missing = find_missing(store, model, target.embed_spec, readable=readable)
        if missing:
            try:
                embed_batches(recipe, store, model, target.embed_spec, missing, executor)
            except (ConflictError, FileNotFoundError) as error:
                if number == _ROUNDS:
                    raise
                _log.info("another run is changing a batch; once more in %.0f s: %s", _PAUSE_SECONDS, error)
                time.sleep(_PAUSE_SECONDS)
        elif now and dataclasses.replace(now, former=target.former) == target:
            return done
        else:
            former = target.former if back else _former(now, target)
            move_pointer(store, dataclasses.replace(target, former=former), former=now)
            word = "rolled back to" if back else "promoted"
            done = f"{word} {model.spec}; readers take embeddings/model={target.embed_spec}"
    raise PipelineError(
        f"batches came in {_ROUNDS} times while those before them were embedded with {model.spec}; run this again"
    )


def _former(now: Pointer | None, target: Pointer) -> tuple[str, ...]:
    """Where a rollback goes once readers take `target`."""
    if now is None or now.embed_spec == target.embed_spec:
        return now.former if now else ()
    return (now.embed_spec, *now.former)[:_MOST_FORMER]


def _report(store: Store, model: Manifest) -> str:
    reports = find_reports(store, model.spec)
    return f"reports/{reports[0].spec}" if reports else ""
