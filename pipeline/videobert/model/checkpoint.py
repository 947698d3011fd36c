"""A model on disk: `model.safetensors` + `config.json` that transformers' AutoModel loads, and what it does not know.

`heads.safetensors` holds the alignment and retrieval heads, `videobert.json` the layout of the vocabulary.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor
from transformers import BertConfig

from videobert.errors import InputError
from videobert.model.network import Reading, VideoBert
from videobert.model.tensors import load_tensors
from videobert.model.vocabulary import Vocabulary

__all__ = ["MODEL_FILES", "load_model", "save_model"]

FORMAT = 1
MODEL_FILES = ("config.json", "model.safetensors", "heads.safetensors", "videobert.json")
"""All that `load_model` reads of a checkpoint, which holds the optimiser's state and the tokenizer too."""
TIED = frozenset(("predictions.decoder.weight", "predictions.decoder.bias"))


def save_model(model: VideoBert, directory: Path) -> None:
    """Write the four files into `directory`, which is created; equal weights give equal bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items() if name not in TIED}
    # Parameter names of BertForMaskedLM, so that both it and AutoModel read the file.
    backbone = {_outer(name): value for name, value in state.items() if name.startswith(("bert.", "predictions."))}
    heads = {name: value for name, value in state.items() if not name.startswith(("bert.", "predictions."))}
    save_file(backbone, directory / "model.safetensors", metadata={"format": "pt"})
    save_file(heads, directory / "heads.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict() | {"architectures": ["BertForMaskedLM"]}
    _write_json(directory / "config.json", config)
    layout: dict[str, object] = {
        "format": FORMAT,
        "vocabulary": model.vocabulary.to_json(),
        "retrieval_dim": model.retrieval_text.out_features,
        "freeze_visual": model.freeze_visual,
    }
    if model.reading != Reading():
        layout["reading"] = asdict(model.reading)
    _write_json(directory / "videobert.json", layout)


def load_model(directory: Path) -> VideoBert:
    """Restore a saved model, weights bit for bit, in evaluation mode; raises InputError when a file is missing."""
    for name in MODEL_FILES:
        if not (directory / name).is_file():
            raise InputError(f"{directory} has no {name}: give the directory of a VideoBERT checkpoint")
    layout = json.loads((directory / "videobert.json").read_text())
    if layout["format"] != FORMAT:
        raise InputError(f"{directory} has format {layout['format']}, this version reads {FORMAT}: train it again")
    model = VideoBert(
        BertConfig.from_dict(json.loads((directory / "config.json").read_text())),
        vocabulary=Vocabulary(**layout["vocabulary"]),
        retrieval_dim=int(layout["retrieval_dim"]),
        freeze_visual=bool(layout["freeze_visual"]),
        reading=Reading(**layout.get("reading", {})),
    )
    backbone = {_inner(name): value for name, value in load_tensors(directory / "model.safetensors").items()}
    load_weights(model, backbone | load_tensors(directory / "heads.safetensors"))
    return model.eval()


def load_weights(model: VideoBert, state: dict[str, Tensor]) -> None:
    """Load weights by the model's own names, all of them and no others; tied ones follow."""
    missing, unexpected = model.load_state_dict(state, strict=False)
    if set(missing) - TIED or unexpected:
        raise InputError(
            f"the checkpoint lacks {sorted(set(missing) - TIED)[:3]} and has {sorted(unexpected)[:3]} too much: "
            "it is of another model"
        )


def _outer(name: str) -> str:
    return f"cls.{name}" if name.startswith("predictions.") else name


def _inner(name: str) -> str:
    return name.removeprefix("cls.")


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
