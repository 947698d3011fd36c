"""Nothing is unpickled: no call in the code could, and pickles put where data belongs are refused and never run."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import transformers

from tests.hostile.corpus.clip import Clip, encode_clip
from tests.model.material import TINY, vocabulary
from videobert.codebook.core import Codebook
from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders import load_encoder
from videobert.features.worker import FeaturesWorker
from videobert.model.checkpoint import load_model, save_model
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.state import load_state
from videobert.runtime.manifest import Output
from videobert.runtime.parquet import read_table
from videobert.runtime.shards import ShardTask
from videobert.runtime.storage import Store
from videobert.runtime.tar import TarWriter
from videobert.tokens.read import read_shard

ROOT = Path(__file__).resolve().parents[2]
PICKLERS = {"_pickle", "cPickle", "cloudpickle", "dill", "jsonpickle", "joblib", "marshal", "pickle", "shelve"}
BERT = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 35}


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, trap: Path) -> None:
        self._trap = trap

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._trap),)


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Path]:
    """Stays away as long as no pickle is run; that it would come is tried before."""
    pickle.loads(pickle.dumps(Payload(tmp_path / "tried")))
    assert (tmp_path / "tried").is_dir()
    yield tmp_path / "trap"
    assert not (tmp_path / "trap").exists()


def violations(source: str) -> list[str]:
    """Expressions that unpickle, or run a text or a stranger's code."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and _forbidden(node)]
    return [f"import {name}" for name in sorted(_imports(source) & PICKLERS)] + [ast.unparse(call) for call in calls]


def _forbidden(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return (
        name in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "torch.jit.load", "torch.hub.load")
        or name.endswith((".read_pickle", ".unsafe_load"))
        or (name == "torch.load" and given.get("weights_only") != "True")
        or given.get("allow_pickle", "False") != "False"
        or given.get("trust_remote_code", "False") != "False"
        # Configurations and tokenizers are JSON; a model's weights may be a pickle.
        or (name.endswith(".from_pretrained") and not _is_json(name) and given.get("use_safetensors") != "True")
    )


def _is_json(name: str) -> bool:
    return name.split(".")[0].endswith(("Config", "Tokenizer"))


def test_no_code_unpickles() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): wrong
        for folder in ("pipeline", "dags", "operators", "infra")
        for path in (ROOT / folder).rglob("*.py")
        if (wrong := violations(path.read_text()))
    }
    # Arguments of Ray's actors are compared by their pickles, which nobody reads.
    assert found == {"pipeline/videobert/runtime/ray_executor.py": ["import cloudpickle"]}
    assert "cloudpickle.load" not in (ROOT / "pipeline/videobert/runtime/ray_executor.py").read_text()


def test_one_file_reads_tars() -> None:
    """Where hostile members are refused; nobody unpacks one into a folder."""
    readers = [p.name for p in (ROOT / "pipeline").rglob("*.py") if {"tarfile", "webdataset"} & _imports(p.read_text())]
    assert readers == ["tar.py"] and "extractall" not in (ROOT / "pipeline/videobert/runtime/tar.py").read_text()


def _imports(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "import numpy as np; np.load(f, allow_pickle=True)",
        "torch.load(f)", "torch.load(f, weights_only=False)", "yaml.load(f)", "frame = pd.read_pickle(f)",
        "BertModel.from_pretrained(f)", "AutoConfig.from_pretrained(f, trust_remote_code=True)", "exec(text)",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert len(violations(source)) == 1


def test_pickled_tables_and_tokens_are_refused(trap: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "root"))
    evil = pickle.dumps(Payload(trap))
    store.write("features.parquet", evil)
    store.write("whole.tar", evil)
    store.write("member.tar", _tar([("a.json", evil)]))
    with pytest.raises(InputError, match=r"features\.parquet.*Parquet"):
        read_table(store, "features.parquet")
    with pytest.raises(InputError, match=r"tar"):
        list(read_shard(store, "whole.tar"))
    with pytest.raises(InputError, match=r"a\.json.*JSON"):
        list(read_shard(store, "member.tar"))


def test_a_pickle_in_place_of_a_video_is_one_dead_letter(trap: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "root"))
    members = []
    for name, data in (("aa", pickle.dumps(Payload(trap))), ("bb", encode_clip(Clip()))):
        metadata = {"video_id": name, "uri": name, "container": "", "duration_seconds": None}
        members += [(f"{name}.json", json.dumps(metadata).encode()), (f"{name}.pkl", data)]
    store.write("00000.tar", _tar(members))
    task = ShardTask(shard=0, input_digest="", payload="00000.tar", path="out.parquet", receipt="out.json")
    output = FeaturesWorker(FeaturesConfig(frames_per_clip=1, device="cpu"), store)(task)
    assert isinstance(output, Output)
    assert [(r.video_id, r.reason) for r in output.rejects] == [("aa", "undecodable")] and output.counts["videos"] == 1


@pytest.mark.parametrize("how", ["protocol 2", "torch.save"])
def test_pickled_weights_are_refused(trap: Path, tmp_path: Path, how: str) -> None:
    folder, sink = tmp_path / "model", io.BytesIO()
    torch.save(Payload(trap), sink)
    evil = pickle.dumps(Payload(trap), protocol=2) if how == "protocol 2" else sink.getvalue()
    transformers.BertConfig.from_dict(BERT).save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(evil)
    words = vocabulary(30, 5)
    with pytest.raises(InputError, match="safetensors"):
        VideoBert.create(PretrainConfig(init_from=str(folder)), vocabulary=words)
    with pytest.raises(InputError, match="safetensors"):
        load_encoder(FeaturesConfig(encoder=f"hf:{folder}", device="cpu"))
    config = PretrainConfig(architecture=TINY, retrieval_dim=8)
    save_model(VideoBert.create(config, vocabulary=words), tmp_path / "ours")
    for name in ("model.safetensors", "heads.safetensors"):
        whole = (tmp_path / "ours" / name).read_bytes()
        (tmp_path / "ours" / name).write_bytes(evil)
        with pytest.raises(InputError, match="safetensors"):
            load_model(tmp_path / "ours")
        (tmp_path / "ours" / name).write_bytes(whole)
    (tmp_path / "codebook.safetensors").write_bytes(evil)
    with pytest.raises(InputError, match="safetensors"):
        Codebook.load(tmp_path / "codebook.safetensors")
    (tmp_path / "ours" / "train_state.safetensors").write_bytes(evil)
    (tmp_path / "ours" / "train_state.json").write_text('{"step": 1, "curve": []}')
    with pytest.raises(InputError, match="safetensors"):
        load_state(tmp_path / "ours")


def _tar(members: list[tuple[str, bytes]]) -> bytes:
    sink = io.BytesIO()
    tar = TarWriter(sink)
    for name, data in members:
        tar.add(name, data)
    tar.close()
    return sink.getvalue()
