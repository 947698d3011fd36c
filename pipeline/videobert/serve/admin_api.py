"""What changes the root: promotion and its way back, and replays, by the functions of the command line.

It takes a token of its own, as a bearer only: a browser never holds it, so that no page can make one act.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request

from videobert.batch_key import parse_batch_keys
from videobert.embed.stage import EMBED
from videobert.errors import InputError
from videobert.recipes import Recipe
from videobert.runtime.manifest import committed_batches, load_manifest
from videobert.runtime.spec import from_output_config
from videobert.runtime.storage import Store
from videobert.serve.access import Access
from videobert.serve.parameters import AnswersOf, BatchKeys, SpecId
from videobert.serve.records import Done, ReplayState, Sentence
from videobert.serve.replays import Replays

__all__ = ["router"]


def _check_admin(request: Request) -> None:
    admin: Access | None = request.app.state.admin
    if admin is None or not admin.has_bearer(request.headers):
        raise HTTPException(403, "this needs the token of --admin-token as a bearer")


router = APIRouter(
    prefix="/api/v1", dependencies=[Depends(_check_admin)],
    responses={status: {"model": Sentence} for status in (400, 401, 403, 429, 503)},
)  # fmt: skip


@router.post("/embeddings/{spec}/promote")
def promote_embeddings(answers: AnswersOf, spec: SpecId) -> Done:
    """Point readers at these embeddings of a model, if its gates hold."""
    from videobert.admin.promotion import promote  # the flow of all stages, which no other request needs

    return Done(done=promote(_recipe(answers.root.store, spec), answers.root.store, spec.rsplit(".", 1)[0]))


@router.post("/roll-back")
def back(answers: AnswersOf) -> Done:
    """Point readers at what they took before."""
    from videobert.admin.promotion import roll_back

    return Done(done=roll_back(Recipe(), answers.root.store))


@router.post("/dead-letters/replay", status_code=202)
def replay(
    request: Request, reason: Annotated[str, Query(pattern=r"^[a-z][a-z0-9-]{0,63}$")], batch: BatchKeys = ""
) -> ReplayState:
    """Try the dead letters of a reason again, as `videobert replay` does; GET tells how far it is."""
    return _replays(request).start(reason, parse_batch_keys(batch))


@router.get("/dead-letters/replay")
def replay_state(request: Request) -> ReplayState:
    """The replay that runs, or ran last."""
    return _replays(request).state()


def _replays(request: Request) -> Replays:
    found: Replays = request.app.state.replays
    return found


def _recipe(store: Store, spec: str) -> Recipe:
    """One that makes these embeddings of their model."""
    for batch in sorted(committed_batches(store, EMBED.name, spec)):
        if manifest := load_manifest(store, EMBED.name, spec, batch):
            return Recipe(embed=from_output_config(EMBED.config, manifest.config))
    raise InputError(f"there are no embeddings {spec!r}; /api/v1/models lists them")
