"""The service as a Ray Serve application: the same routes and pages behind several replicas.

    VIDEOBERT_TOKEN=... serve run videobert.serve.replicas:build root=s3://bucket/videos replicas=2

Replicas read VIDEOBERT_TOKEN and VIDEOBERT_ADMIN_TOKEN from their own environment: Ray shows the arguments of an
application to whoever sees its dashboard. An uploaded video is known to the replica that took it; give uploads a
service of their own (`infra/serve/rayservice.yaml`). Needs the extra `serve-ray`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application

from videobert.errors import InputError
from videobert.serve.access import Access
from videobert.serve.app import create_app
from videobert.serve.options import ServeOptions

__all__ = ["build"]

_GRACE_SECONDS = 10


def build(arguments: Mapping[str, Any]) -> Application:
    """An application over `root`, with `replicas` (2), `cpus` of each (1) and `recipe` for replays.

    What is left are fields of `ServeOptions`. Raises InputError for an argument that is none.
    """
    left = dict(arguments)
    root, replicas = str(left.pop("root", "")), int(left.pop("replicas", 2))
    cpus, recipe = float(left.pop("cpus", 1)), str(left.pop("recipe", ""))
    try:
        options = ServeOptions(**left)
    except TypeError as error:
        raise InputError(f"{error}; give root, replicas, cpus, recipe and the fields of ServeOptions") from error
    if not root:
        raise InputError("root is missing; give the root of the pipeline, as root=s3://bucket/videos")
    made = serve.deployment(
        name="videobert", num_replicas=replicas, max_ongoing_requests=options.most_requests,
        ray_actor_options={"num_cpus": cpus}, graceful_shutdown_timeout_s=_GRACE_SECONDS, health_check_period_s=2,
        health_check_timeout_s=30,
    )  # fmt: skip
    application: Application = made(serve.ingress()(_Replica)).bind(root, options, recipe)
    return application


class _Replica:
    """One process of the service."""

    def __init__(self, root: str, options: ServeOptions, recipe: str) -> None:
        self._root, self._options, self._recipe = root, options, recipe

    def __serve_build_asgi_app__(self) -> FastAPI:  # the name that Ray Serve asks for
        token, admin = (os.environ.get(f"VIDEOBERT_{name}", "") for name in ("TOKEN", "ADMIN_TOKEN"))
        if not token:
            raise InputError("a replica has no VIDEOBERT_TOKEN; set it for Ray's nodes, so that all take the same")
        rights = Access(admin) if admin else None
        return create_app(self._root, Access(token), self._options, admin=rights, recipe=self._recipe)
