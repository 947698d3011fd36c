from pathlib import Path

import pytest

from videobert.errors import InputError
from videobert.model.tensors import load_tensors


@pytest.mark.parametrize("data", [b"", b"\x80\x04K\x01.", b"\xff" * 64])
def test_what_is_no_safetensors_file_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(InputError, match=r"model\.safetensors is no readable safetensors file"):
        load_tensors(tmp_path / "model.safetensors")
