"""`videobert models`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Refused, Told
from tests.small_root import SmallRoot


def test_models_with_gates_and_embeddings(told: Told, small_root: SmallRoot) -> None:
    model, embeddings = told("models", "--root", small_root.root)
    assert model.split()[:3] == [small_root.specs["pretrain"], "step", "2,"] and "gates hold" in model
    assert small_root.specs["embed"] in embeddings and embeddings.endswith("2 batches  <- current")


def test_a_root_without_a_promoted_model(told: Told, tmp_path: Path) -> None:
    (tmp_path / "models" / "pretrain-1").mkdir(parents=True)
    lines = told("models", "--root", str(tmp_path))
    assert "begun, not committed" in lines[0] and lines[1] == "no model is promoted"


def test_promotion_and_what_it_refuses(told: Told, refused: Refused, copied: SmallRoot) -> None:
    spec = copied.specs["pretrain"]
    assert told("models", "--root", copied.root, "--promote", spec) == [f"{spec} is promoted already"]
    Path(copied.root, "models", "current.json").unlink()
    assert f"promoted {spec}" in told("models", "--root", copied.root, "--promote", spec)[0]
    assert "exclude each other" in refused("models", "--root", copied.root, "--promote", spec, "--rollback")
    assert "is not committed" in refused("models", "--root", copied.root, "--promote", "pretrain-x")
    assert "no former model" in refused("models", "--root", copied.root, "--rollback")
    assert "no recipe 'x'" in refused("models", "--root", copied.root, "--promote", spec, "--recipe", "x")
