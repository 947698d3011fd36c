"""A fine-tuned network on disk: VideoBERT's files, the head next to them, and what it is for.

`model.safetensors` and `config.json` load with AutoModel; `task_head.safetensors` holds the head, `task.json` the rest.
Heads that were learnt with it on the same encoder are `also_1_task_head.safetensors`, `also_1_task.json`, and so on.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from videobert.errors import InputError
from videobert.model.checkpoint import load_model, save_model
from videobert.model.network import VideoBert
from videobert.model.tensors import load_tensors
from videobert.tasks.base import TaskNetwork

__all__ = ["HEAD_FILE", "SETTINGS_FILE", "add_head", "choose_head", "load_head", "open_folder", "save_network"]

HEAD_FILE = "task_head.safetensors"
SETTINGS_FILE = "task.json"


def save_network(network: TaskNetwork, directory: Path, settings: dict[str, Any]) -> None:
    """Write everything into `directory`, which is created; equal weights give equal bytes."""
    save_model(network.encoder, directory)
    config = json.loads((directory / "config.json").read_text()) | {"architectures": [type(network).__name__]}
    (directory / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    head = {
        name: value.detach().cpu().contiguous()
        for name, value in network.state_dict().items()
        if not name.startswith("encoder.")
    }
    save_file(head, directory / HEAD_FILE, metadata={"format": "pt"})
    told = {"kind": type(network).__name__, **settings}
    (directory / SETTINGS_FILE).write_text(json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def open_folder(folder_or_id: str | Path) -> tuple[Path, VideoBert, dict[str, Any]]:
    """(local folder, encoder, settings) of a saved network. Raises InputError where there is none."""
    folder = _local(folder_or_id)
    settings = folder / SETTINGS_FILE
    if not settings.is_file():
        raise InputError(f"{folder_or_id} has no {SETTINGS_FILE}; give the folder of a fine-tuned model")
    return folder, load_model(folder), json.loads(settings.read_text())


def add_head(network: TaskNetwork, directory: Path, number: int, settings: dict[str, Any]) -> None:
    """Write the head of a network whose encoder lies in `directory` already, as head `number` from 1 on."""
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        network.save_pretrained(folder, **settings)
        for name in (HEAD_FILE, SETTINGS_FILE):
            shutil.copyfile(Path(folder) / name, directory / _numbered(name, number))


def choose_head(folder: Path, number: int) -> None:
    """Make head `number` that of a local folder, a copy. Raises InputError where there is no such head."""
    if not (folder / _numbered(SETTINGS_FILE, number)).is_file():
        raise InputError(f"head {number} is not among those of this model, which was trained without it; give another")
    for name in (HEAD_FILE, SETTINGS_FILE):
        shutil.copyfile(folder / _numbered(name, number), folder / name)
    settings = json.loads((folder / SETTINGS_FILE).read_text())
    labels = settings["facts"].get("labels", [])
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
    config["problem_type"] = settings.get("problem_type")
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _numbered(name: str, number: int) -> str:
    return f"also_{number}_{name}"


def load_head(network: TaskNetwork, folder: Path) -> None:
    """Restore the weights of the head, all of them and no others."""
    missing, unexpected = network.load_state_dict(load_tensors(folder / HEAD_FILE), strict=False)
    missing = [name for name in missing if not name.startswith("encoder.")]
    if missing or unexpected:
        raise InputError(f"{folder} lacks {missing[:3]} and has {unexpected[:3]} too much: it is of another model")


def _local(folder_or_id: str | Path) -> Path:
    """The folder itself, or where Hugging Face's client has put, or puts, the files of an id."""
    folder = Path(folder_or_id)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        # Weights are safetensors; nothing that could hold a pickle is fetched.
        return Path(snapshot_download(str(folder_or_id), allow_patterns=["*.json", "*.safetensors", "*.txt"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise InputError(
            f"{folder_or_id} is no folder, and no model that Hugging Face's client can fetch ({error}); correct it"
        ) from error
