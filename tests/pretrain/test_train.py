import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from tests.model.material import FIRST_WORD, TINY, random_videos, video, vocabulary
from videobert.errors import InputError
from videobert.model.checkpoint import load_model, save_model
from videobert.model.network import VideoBert
from videobert.pretrain.config import LossWeights, PretrainConfig, Validation
from videobert.pretrain.state import TrainState, load_state, save_state
from videobert.pretrain.train import learning_rate, train
from videobert.tokens.records import TokenizedVideo

WORDS = vocabulary(60, 40)
DROPOUT = dataclasses.replace(TINY, dropout=0.1, attention_dropout=0.1)
BASE = PretrainConfig(architecture=DROPOUT, learning_rate=1e-3, batch_size=16, steps=9, threads=1, retrieval_dim=16)
CENTROIDS = np.random.default_rng(0).standard_normal((WORDS.leaves, 24))


def fresh(config: PretrainConfig = BASE) -> VideoBert:
    return VideoBert.create(config, vocabulary=WORDS, centroids_NF=CENTROIDS)


def corpus() -> list[TokenizedVideo]:
    return random_videos(12, words=60, leaves=40)


def assert_same(first: VideoBert, second: VideoBert) -> None:
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def assert_close(first: VideoBert, second: VideoBert) -> None:
    """Equal up to the order of sums; an update moves a weight by about 1e-3."""
    for name, value in first.state_dict().items():
        # Softmax does not feel the bias of the keys: its gradient is rounding, which Adam scales up to a full step.
        if not name.endswith("key.bias"):
            assert (value - second.state_dict()[name]).abs().max() < 1e-4, name


def without_clock(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    clock = ("data_wait", "tokens_per_second")
    return [{name: value for name, value in record.items() if name not in clock} for record in curve]


@pytest.mark.parametrize("stop", [3, 4, 8])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path, stop: int) -> None:
    config = dataclasses.replace(BASE, checkpoint_every_steps=stop, log_every_steps=2)

    def keep(model: VideoBert, state: TrainState) -> None:
        if state.step == stop:
            save_model(model, tmp_path)
            save_state(state, tmp_path)

    whole = fresh()
    whole_state = train(whole, corpus(), config, on_checkpoint=keep)
    torch.manual_seed(123)  # nothing may hang on the global generator
    resumed = load_model(tmp_path)
    resumed_state = train(resumed, corpus(), config, state=load_state(tmp_path))
    assert_same(whole, resumed)
    assert without_clock(whole_state.curve) == without_clock(resumed_state.curve)
    for name, moment in whole_state.moments.items():
        assert torch.equal(moment, resumed_state.moments[name]), name


def test_a_finished_run_has_nothing_left_to_do() -> None:
    model = fresh()
    state = train(model, corpus(), BASE)
    before = copy.deepcopy(model)
    assert train(model, corpus(), BASE, state=state).step == BASE.steps
    assert_same(before, model)


def test_four_parts_of_32_are_a_batch_of_128() -> None:
    # InfoNCE takes its candidates from a part, so it is the one loss that accumulation changes.
    base = dataclasses.replace(BASE, architecture=TINY, batch_size=128, steps=3, weights=LossWeights(retrieval=0))
    whole, parts = fresh(base), fresh(base)
    first = train(whole, corpus(), base)
    second = train(parts, corpus(), dataclasses.replace(base, accumulation=4))
    assert_close(whole, parts)
    assert first.curve[-1]["loss"] == pytest.approx(second.curve[-1]["loss"], rel=1e-5)


def _work(rank: int, world: int, config: PretrainConfig, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    model = fresh(config)

    def keep(current: VideoBert, at: TrainState) -> None:
        if rank == 0 and at.step == 2:
            save_model(current, folder / "middle")
            save_state(at, folder / "middle")

    state = train(model, corpus(), config, rank=rank, world_size=world, on_checkpoint=keep)
    if rank == 0:
        save_model(model, folder / "model")
        save_state(state, folder / "model")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_workers_train_the_model_of_one(tmp_path: Path) -> None:
    config = dataclasses.replace(
        BASE, architecture=TINY, steps=3, batch_size=28, log_every_steps=1, checkpoint_every_steps=2,
        validation=Validation(checks=3, least_segments=1),
    )  # fmt: skip
    alone = fresh(config)
    state = train(alone, corpus(), config)
    spawn(_work, args=(2, config, tmp_path), nprocs=2)  # type: ignore[no-untyped-call]
    assert_close(alone.eval(), load_model(tmp_path / "model"))
    curve = load_state(tmp_path / "model").curve
    assert len(curve) == len(state.curve) == 3
    for shared, own in zip(without_clock(curve), without_clock(state.curve), strict=True):
        assert shared == pytest.approx(own, rel=1e-4)
    assert load_state(tmp_path / "model").checks == [pytest.approx(check, rel=1e-4) for check in state.checks]
    assert len(state.checks) == 3
    resumed = load_model(tmp_path / "middle")
    train(resumed, corpus(), config, state=load_state(tmp_path / "middle"))
    assert_close(alone.eval(), resumed.eval())  # begun by two, ended by one


def test_frozen_rows_stay_bit_identical_under_weight_decay() -> None:
    config = dataclasses.replace(BASE, weight_decay=0.5, learning_rate=1e-2)
    model = fresh(config)
    before_VD = model.bert.embeddings.word_embeddings.weight.detach().clone()
    pooler = copy.deepcopy(model.bert.pooler)
    assert pooler is not None and model.bert.pooler is not None
    train(model, corpus(), config)
    after_VD = model.bert.embeddings.word_embeddings.weight.detach()
    assert torch.equal(before_VD[WORDS.first_visual :], after_VD[WORDS.first_visual :])
    assert (before_VD[FIRST_WORD : WORDS.text_size] != after_VD[FIRST_WORD : WORDS.text_size]).any(dim=1).all()
    assert torch.equal(pooler.dense.weight, model.bert.pooler.dense.weight)
    thawed_config = dataclasses.replace(config, freeze_visual=False)
    thawed = fresh(thawed_config)
    train(thawed, corpus(), thawed_config)
    moved_VD = thawed.bert.embeddings.word_embeddings.weight.detach()
    assert not torch.equal(before_VD[WORDS.first_visual :], moved_VD[WORDS.first_visual :])


@pytest.mark.slow
def test_64_pairs_are_learnt_by_heart() -> None:
    words = vocabulary(64, 64)
    videos = [video(f"v{i}", [[FIRST_WORD + i] * 3], [[i] * 4]) for i in range(64)]
    config = PretrainConfig(
        architecture=dataclasses.replace(TINY, hidden=64, intermediate=128, initializer_range=0.12),
        learning_rate=3e-3, warmup_steps=20, batch_size=64, steps=400, subsample_rates=(1,), freeze_visual=False,
        threads=1, weights=LossWeights(retrieval=0),
    )  # fmt: skip
    model = VideoBert.create(config, vocabulary=words)
    state = train(model, videos, config)
    assert state.curve[0]["loss"] > 5
    for part in ("text_only", "video_only", "joint_text", "joint_video"):
        assert state.curve[-1][part] < 0.05, part
    # Strangers are drawn afresh in every step, so this part is learnt, not remembered; chance is 0.693.
    assert state.curve[-1]["alignment"] < 0.25


def test_the_learning_rate_rises_and_falls_in_straight_lines() -> None:
    config = dataclasses.replace(BASE, learning_rate=1.0, warmup_steps=4)
    rates = [learning_rate(config, step=step, steps=14) for step in range(14)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert np.diff(rates[4:]) == pytest.approx([-0.1] * 9)
    assert rates[-1] == pytest.approx(0.1)


def test_records_report_every_loss_and_checkpoints_come_when_due() -> None:
    config = dataclasses.replace(BASE, log_every_steps=4, checkpoint_every_steps=6)
    records: list[dict[str, float]] = []
    saved: list[int] = []
    train(
        fresh(), corpus(), config,
        on_step=records.append, on_checkpoint=lambda _, state: saved.append(state.step),
    )  # fmt: skip
    assert [record["step"] for record in records] == [4, 6, 8, 9]
    assert saved == [6, 9]
    losses = {"text_only", "video_only", "joint_text", "joint_video", "alignment", "retrieval"}
    assert losses < set(records[0])
    weights = {name: getattr(config.weights, name) for name in losses}
    for record in records:
        assert record["loss"] == pytest.approx(sum(weights[name] * record[name] for name in losses), rel=1e-5)
        assert record["tokens_per_second"] > 0 and 0 <= record["data_wait"] < 1


def test_a_state_of_another_model_is_refused() -> None:
    config = dataclasses.replace(BASE, steps=1)
    state = train(fresh(), corpus(), config)
    state.moments.popitem()
    with pytest.raises(InputError, match="resume with the config"):
        train(fresh(), corpus(), BASE, state=state)


def test_a_batch_too_small_for_its_workers_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be shared by 20 workers"):
        train(fresh(), corpus(), BASE, world_size=20)


def test_bf16_trains_and_keeps_fp32_weights() -> None:
    model = fresh()
    state = train(model, corpus(), dataclasses.replace(BASE, precision="bf16"))
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert np.isfinite(state.curve[-1]["loss"])


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    train(fresh(), corpus(), dataclasses.replace(BASE, threads=before + 1, steps=1))
    assert torch.get_num_threads() == before
