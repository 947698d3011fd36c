"""Terraform: parsed, formatted, only what it may hold, every reference declared. Providers are not at hand: no plan."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.infra.material import INFRA

_load: Any = importlib.import_module("hcl2").load  # brings no annotations
FOLDER = INFRA / "terraform"
FILES = sorted(FOLDER.glob("*.tf"))
TEXT = "\n".join(path.read_text() for path in FILES)


def blocks(kind: str) -> dict[str, dict[str, Any]]:
    """Resources or data sources: `type.name` -> body."""
    found: dict[str, dict[str, Any]] = {}
    for path in FILES:
        with path.open() as file:
            for entry in _load(file).get(kind, []):
                for type_, named in entry.items():
                    found |= {f"{type_}.{name}".replace('"', ""): body for name, body in named.items()}
    return found


def test_it_makes_bucket_rights_and_registry_and_nothing_else() -> None:
    kinds = {name.split(".")[0] for name in blocks("resource")}
    assert {re.sub(r"^aws_(s3_bucket|iam_policy|ecr)(_.*)?$", r"\1", kind) for kind in kinds} == {
        "s3_bucket", "iam_policy", "ecr",
    }  # fmt: skip


def test_the_bucket_keeps_versions_and_drops_what_uploads_left_behind() -> None:
    resources = blocks("resource")
    [versioning] = resources["aws_s3_bucket_versioning.data"]["versioning_configuration"]
    assert versioning["status"] == '"Enabled"'
    rules = resources["aws_s3_bucket_lifecycle_configuration.data"]["rule"]
    [abort] = [rule for rule in rules if "abort_incomplete_multipart_upload" in rule]
    assert (
        abort["status"] == '"Enabled"' and abort["abort_incomplete_multipart_upload"][0]["days_after_initiation"] <= 7
    )
    assert not any("prefix" in part for part in abort["filter"])
    expired = [rule for rule in rules if "expiration" in rule]
    assert all("log_prefix" in rule["filter"][0]["prefix"] for rule in expired)  # data never expires


def test_the_bucket_is_private() -> None:
    block = blocks("resource")["aws_s3_bucket_public_access_block.data"]
    switches = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    assert all(block[switch] is True for switch in switches)


def test_every_reference_is_declared() -> None:
    declared = set(re.findall(r'^variable "(\w+)"', TEXT, re.MULTILINE))
    assert set(re.findall(r"\bvar\.(\w+)", TEXT)) == declared
    known = set(blocks("resource")) | {f"data.{name}" for name in blocks("data")}
    assert set(re.findall(r"(?<![\w.\"])((?:data\.)?aws_\w+\.\w+)", TEXT)) <= known


def test_the_registry_has_the_images_of_the_dockerfile() -> None:
    names = set(re.findall(r'toset\(\["([^\]]+)"\]', TEXT)[0].split('", "'))
    assert names == {f"videobert-{target}" for target in ("airflow", "ray")}


@pytest.mark.skipif(shutil.which("terraform") is None, reason="no terraform here")
def test_terraform_would_format_nothing() -> None:
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["terraform", "fmt", "-check", FOLDER], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
