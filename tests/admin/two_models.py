"""A small root with two models, trained on one batch; the features of another batch are there and come in when told."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.small_root import BATCHES, SmallRoot
from videobert.admin.promoted import run_with_promoted
from videobert.admin.promotion import promote
from videobert.flow import run_stage
from videobert.recipes import Recipe
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.inputs import Share
from videobert.runtime.storage import Store
from videobert.stages import flow_of

__all__ = ["KNOWN", "LATE", "TwoModels", "embed", "make_two_models"]

KNOWN, LATE = BATCHES
_CHANGING = ("embeddings", "tokens", "models/current.json")


@dataclass(frozen=True)
class TwoModels:
    """`old` is promoted, `new` is not."""

    folder: Path
    recipe: Recipe
    old: str
    new: str
    features: str

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def reset(self) -> None:
        """As it was made: the late batch has no features, and nothing is embedded with the new model."""
        shutil.rmtree(self._late(self.root), ignore_errors=True)
        for name in _CHANGING:
            source, target = self.folder / "kept" / name, self.root / name
            if source.is_dir():
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)

    def ingest(self) -> None:
        """The features of the late batch are committed: files first, the manifest last."""
        source, target = self._late(self.folder / "kept"), self._late(self.root)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("_manifest.json"))
        (target / "new").write_bytes((source / "_manifest.json").read_bytes())
        (target / "new").rename(target / "_manifest.json")

    def _late(self, root: Path) -> Path:
        return root / "features" / self.features / f"batch={LATE}"


def make_two_models(small: SmallRoot, folder: Path) -> TwoModels:
    """Some seconds: a codebook, and two models of two steps."""
    root, kept = folder / "root", folder / "kept"
    for name in ("catalog", "shards", "features"):
        shutil.copytree(Path(small.root) / name, root / name)
    store, recipe = Store(str(root)), small.recipe
    other = dataclasses.replace(recipe, pretrain=dataclasses.replace(recipe.pretrain, seed=recipe.pretrain.seed + 1))
    selection, specs = Selection(), dict[str, str]()
    for name, configured in (("codebook", recipe), ("tokens", recipe), ("pretrain", recipe), ("pretrain", other)):
        batches = (KNOWN,) if name in ("codebook", "tokens") else ()
        (result,) = run_stage(configured, store, name, batches=batches, selection=selection, executor=LocalExecutor())
        specs["new" if configured is other else name] = result.spec
        if name == "codebook":
            selection = Selection(codebook=result.spec)
    made = TwoModels(folder, recipe, specs["pretrain"], specs["new"], small.specs["features"])
    shutil.copytree(made._late(root), made._late(kept))
    shutil.rmtree(made._late(root))
    promote(recipe, store, made.old, force=True, executor=LocalExecutor())
    for name in _CHANGING:
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (root / name).is_dir() else shutil.copyfile
        copy(root / name, kept / name)
    return made


def embed(two: TwoModels, store: Store) -> None:
    """What the tasks of `videobert_embed` do for the late batch, one job after the other."""
    for name in flow_of("embed"):
        run_with_promoted(
            two.recipe, store, name, batches=(LATE,), executor=LocalExecutor(), share=Share()
        )  # fmt: skip
