import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.features.encoders.clips import random_clips
from tests.video.videos import encoded, moving_square, write_video
from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders import encoder_identity, load_encoder, output_identity, packaged
from videobert.features.encoders.motion import motion_picture
from videobert.features.encoders.packaged import PackagedEncoder
from videobert.features.encoders.packaged_network import PackagedNetwork
from videobert.video.isolated import IsolatedDecoder
from videobert.video.limits import DecoderLimits
from videobert.video.request import ClipFrames


@pytest.fixture(scope="module")
def encoder() -> PackagedEncoder:
    return PackagedEncoder(FeaturesConfig(), device="cpu")


@pytest.fixture(scope="module")
def clips(encoder: PackagedEncoder) -> list[ClipFrames]:
    return random_clips(encoder.request, 5)


def test_two_unit_halves(encoder: PackagedEncoder, clips: list[ClipFrames]) -> None:
    vectors = encoder.encode(clips)
    assert vectors.shape == (5, encoder.dimension) and vectors.dtype == np.float32
    halves = np.linalg.norm(vectors.reshape(5, 2, 1280), axis=2)
    assert np.allclose(halves, 1, atol=1e-5)


def test_the_runtime_on_cpu_is_the_network(encoder: PackagedEncoder, clips: list[ClipFrames]) -> None:
    frames = torch.from_numpy(np.stack([clip.rgb for clip in clips]))
    motion = torch.from_numpy(np.stack([motion_picture(clip.gray) for clip in clips if clip.gray is not None]))
    network = PackagedNetwork(packaged._weights())
    with torch.inference_mode():
        expected = network(frames, motion).numpy()
    assert np.abs(encoder.encode(clips) - expected).max() < 1e-4


def test_a_clip_has_the_same_bits_in_any_batch(encoder: PackagedEncoder, clips: list[ClipFrames]) -> None:
    whole = encoder.encode(clips)
    assert np.array_equal(encoder.encode(clips[3:4])[0], whole[3])
    assert np.array_equal(encoder.encode([*clips[::-1], clips[0]]), [*whole[::-1], whole[0]])


def test_frames_and_motion_each_count(encoder: PackagedEncoder, clips: list[ClipFrames]) -> None:
    first, second = clips[:2]
    mixed = encoder.encode([first, ClipFrames(index=0, rgb=first.rgb, gray=second.gray)])
    assert np.allclose(mixed[0, :1280], mixed[1, :1280], atol=1e-6)
    assert np.abs(mixed[0, 1280:] - mixed[1, 1280:]).max() > 1e-3


@pytest.mark.slow
def test_workers_and_threads_change_no_bit(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [moving_square(i) for i in range(64)])
    script = (
        "import sys, torch, hashlib\n"
        "from videobert.features.config import FeaturesConfig\n"
        "from videobert.features.encoders import load_encoder\n"
        "from videobert.video.isolated import IsolatedDecoder\n"
        "from tests.video.videos import encoded\n"
        "torch.set_num_threads(int(sys.argv[2]))\n"
        "config = FeaturesConfig(device='cpu', batch_clips=int(sys.argv[3]))\n"
        "decoder = IsolatedDecoder(config.limits)\n"
        "features = encoded(sys.argv[1], load_encoder(config), config, decoder=decoder).features_ND\n"
        "print(hashlib.sha256(features.tobytes()).hexdigest())\n"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", script, str(path), *arguments], stdout=subprocess.PIPE, text=True)
        for arguments in (("1", "1"), ("2", "7"))
    ]
    digests = {worker.communicate()[0] for worker in workers}
    assert len(digests) == 1 and all(worker.returncode == 0 for worker in workers)


def test_different_motion_of_one_object_is_told_apart(encoder: PackagedEncoder, tmp_path: Path) -> None:
    def swing(name: str, axis: int, start: float) -> np.ndarray:
        frames = []
        for i in range(32):
            image = np.full((120, 120, 3), 60, np.uint8)
            corner = [50, 50]
            corner[axis] += round(30 * np.sin(2 * np.pi * (i / 20 + start)))
            image[corner[0] : corner[0] + 20, corner[1] : corner[1] + 20] = (230, 90, 40)
            frames.append(image)
        video, config = write_video(tmp_path / f"{name}.mp4", frames), FeaturesConfig()
        got = encoded(video, encoder, config, decoder=IsolatedDecoder(config.limits))
        return got.features_ND[0, 1280:]

    down, down_later, across = swing("a", 0, 0), swing("b", 0, 0.3), swing("c", 1, 0)
    assert down @ down_later > down @ across + 0.1


def test_identity_is_known_without_loading_and_changes_with_what_changes_vectors() -> None:
    config = FeaturesConfig()
    identity = encoder_identity(config)
    assert identity.label == "efficientnet-lite0" and len(identity.digest) == 64
    assert load_encoder(config, device="cpu").identity == identity
    other = FeaturesConfig(device="cpu", batch_clips=3, limits=DecoderLimits(max_seconds=9.0))
    assert output_identity(config) == output_identity(other)
    assert output_identity(config) != output_identity(FeaturesConfig(frames_per_clip=2))
    assert set(output_identity(config)) == set(FeaturesConfig.OUTPUT_FIELDS)
    assert output_identity(FeaturesConfig(decoder="nvdec")) == output_identity(config) | {"decoder": "nvdec"}


@pytest.mark.parametrize("name", ["resnet", "hf:", "torchvision:r3d", ""])
def test_an_unknown_encoder_lists_the_known(name: str) -> None:
    with pytest.raises(InputError, match="choose packaged, torchvision:s3d, or hf:"):
        load_encoder(FeaturesConfig(encoder=name))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(InputError, match="use auto or cpu"):
        load_encoder(FeaturesConfig(device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_agrees_with_the_cpu(encoder: PackagedEncoder, clips: list[ClipFrames]) -> None:
    gpu = PackagedEncoder(FeaturesConfig(batch_clips=2), device="cuda")
    assert np.abs(gpu.encode(clips) - encoder.encode(clips)).max() < 2e-3
