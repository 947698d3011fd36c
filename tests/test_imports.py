"""Who may import whom (the layers of the design), proved in fresh processes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from videobert.application import application_names
from videobert.stages import all_stages, stage_names

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pipeline" / "videobert"
HEAVY = ("airflow", "av", "matplotlib", "numpy", "onnxruntime", "pyarrow", "ray", "tokenizers", "torch", "transformers")
LIGHT = ["videobert", "videobert.errors", "videobert.stages", "videobert.recipes"]


def loaded_by(statement: str, watched: tuple[str, ...]) -> list[str]:
    """Which of the watched modules a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(*(m for m in {watched!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def imports_of(path: Path) -> set[str]:
    """First parts of every module that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("module", [*LIGHT, *(f"videobert.{name}.config" for name in stage_names())])
def test_configuration_is_light(module: str) -> None:
    assert loaded_by(f"import {module}", HEAVY) == []


def test_query_client_needs_neither_torch_nor_ray_nor_airflow() -> None:
    commands = ("ask", "index", "labels", "models", "query", "schedule", "state", "tasks", "visualize")
    modules = [f"cli.{name}" for name in commands]
    modules += [f"applications.{name.replace('-', '_')}" for name in application_names()]
    statement = "import videobert.api" + "".join(f", videobert.{module}" for module in modules)
    assert loaded_by(statement, ("airflow", "av", "ray", "tokenizers", "torch", "transformers")) == []


@pytest.mark.parametrize("folder", ["model", "pretrain", "codebook"])
def test_model_core_needs_no_cluster_and_no_decoder(folder: str) -> None:
    modules = [path.stem for path in (PACKAGE / folder).glob("*.py") if path.stem not in ("__init__", "run")]
    core = [
        m for m in modules if m not in ("load", "job", "checkpoints", "checkpoint_io", "worker", "narration")
    ]  # these speak to the store
    statement = "\n".join(f"import videobert.{folder}.{module}" for module in core)
    assert loaded_by(statement, ("airflow", "av", "pyarrow", "ray", "webdataset")) == []


def test_tasks_need_no_cluster_and_no_decoder() -> None:
    """Heads, losses and the loop of fine-tuning: a model's folder is used where there is torch and transformers."""
    modules = [f"tasks.{path.stem}" for path in (PACKAGE / "tasks").glob("*.py") if path.stem != "__init__"]
    modules += ["finetune.train", "finetune.parameters", "finetune.measure"]
    statement = "\n".join(f"import videobert.{module}" for module in modules)
    assert loaded_by(statement, ("airflow", "av", "pyarrow", "ray", "webdataset")) == []


def test_planning_a_stage_imports_nothing_of_what_its_workers_need() -> None:
    """The driver of a Ray job plans and commits; a second torch in it would cost seconds and half a gigabyte."""
    stages = ("ingest", "shard", "features", "tokens", "pretrain", "embed", "finetune", "predict")
    statement = "\n".join(f"import videobert.{name}.run" for name in stages)
    assert loaded_by(statement, ("onnxruntime", "ray", "tokenizers", "torch", "transformers")) == []
    assert loaded_by("import videobert.runtime.ray_executor", ("onnxruntime", "torch", "transformers")) == []


def test_a_cpu_worker_of_features_never_loads_torch(tmp_path: Path) -> None:
    """Four seconds and 400 MB a worker."""
    statement = (
        f"import os; os.environ['XDG_CACHE_HOME'] = {str(tmp_path)!r}\n"
        "from videobert.features.config import FeaturesConfig\nfrom videobert.features.encoders import load_encoder\n"
        "load_encoder(FeaturesConfig(device='cpu'))"
    )
    assert loaded_by(statement, ("torch",)) == []
    assert len(list(tmp_path.rglob("*.onnx"))) == 1


def test_pipeline_never_imports_airflow_or_operators() -> None:
    offenders = [p for p in PACKAGE.rglob("*.py") if imports_of(p) & {"airflow", "airflow_ray_jobs", "dags", "infra"}]
    assert offenders == []


def test_only_the_ray_executor_and_the_replicas_of_the_service_import_ray() -> None:
    offenders = {p.relative_to(ROOT).as_posix() for p in PACKAGE.rglob("*.py") if "ray" in imports_of(p)}
    assert offenders == {"pipeline/videobert/runtime/ray_executor.py", "pipeline/videobert/serve/replicas.py"}


def test_operators_know_nothing_of_the_pipeline() -> None:
    forbidden = {"videobert", "ray", "torch", "numpy", "pyarrow"}
    offenders = [p for p in (ROOT / "operators").rglob("*.py") if imports_of(p) & forbidden]
    assert offenders == []


def test_every_stage_has_the_same_files() -> None:
    """`stage.py` what it declares, `config.py` what may vary, `run.py` plan and commit; batch stages: `worker.py`."""
    for stage in all_stages():
        files = {path.name for path in (PACKAGE / stage.name).glob("*.py")}
        assert {"stage.py", "config.py", "run.py"} <= files, stage.name
        assert "worker.py" in files or stage.scope == "corpus", stage.name


def test_only_its_own_folder_and_its_readers_name_a_stage() -> None:
    """The machinery knows none: what runs, resolves, splits, forgets or replays one asks its declaration."""
    machinery = ["flow.py", "resolve.py", "admin/forget.py", "admin/freshness.py", "cli/dry_run.py", "cli/stages.py"]
    others = (path.name for path in (PACKAGE / "runtime").glob("*.py"))
    machinery += [f"runtime/{name}" for name in others if name != "stage.py"]  # which names the parts of the flow
    for file in machinery:
        strings = {n.value for n in ast.walk(ast.parse((PACKAGE / file).read_text())) if isinstance(n, ast.Constant)}
        assert not strings & (set(stage_names()) - {"shard"}), file  # `shard` is also a column
