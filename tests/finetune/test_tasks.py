"""Every other task over a small finished root, from its labels to predictions and to the command line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.small_root import SmallRoot
from videobert.cli.ask import AskCommand, CaptionCommand
from videobert.errors import InputError
from videobert.finetune.config import CaptionOptions, FinetuneConfig
from videobert.flow import StageResult, run_stage
from videobert.predict.config import PredictConfig
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.storage import Store
from videobert.tasks.choices import VideoBertForMultipleChoice
from videobert.tasks.retrieval import VideoBertForRetrieval

CONFIG = FinetuneConfig(
    labels="{root}/labels.jsonl",
    epochs=1,
    batch_size=4,
    bootstrap_draws=5,
    captions=CaptionOptions(layers=1, longest=6),
)
ASKED = PredictConfig(question="what is on the board?", choices=("an egg", "a fish"))


class World:
    also: tuple[str, ...] = ()

    def __init__(self, small: SmallRoot, folder: Path) -> None:
        self.small, self.root = small, folder / "demo"
        shutil.copytree(small.root, self.root)
        truth = (small.folder / "corpus/truth/truth.jsonl").read_text().splitlines()
        self.truth = [json.loads(line) for line in truth]
        videos = sorted({row["video_id"] for row in self.truth})
        split = dict(zip(videos, ("test", "test", "validation", "train", "train", "train"), strict=True))
        self.spans = [
            {
                "video": row["video_id"], "start_seconds": row["start_seconds"], "end_seconds": row["end_seconds"],
                "split": split[row["video_id"]],
            }
            for row in self.truth
        ]  # fmt: skip

    def finetune(self, task: str, rows: list[dict[str, Any]], **options: Any) -> tuple[StageResult, dict[str, Any]]:
        text = "".join(json.dumps(span | row) + "\n" for span, row in zip(self.spans, rows, strict=True))
        (self.root / "labels.jsonl").write_text(text)
        (result,) = self.stage("finetune", replace(CONFIG, task=task, also=self.also, **options))
        metrics: dict[str, Any] = json.loads((self.root / "finetuned" / result.spec / "metrics.json").read_text())
        return result, metrics

    def stage(self, name: str, config: FinetuneConfig = CONFIG, **given: Any) -> list[StageResult]:
        recipe = replace(self.small.recipe, finetune=config, predict=given.pop("predict", ASKED))
        selection = Selection(model="current", **given)
        return run_stage(recipe, Store(str(self.root)), name, batches=(), selection=selection, executor=LocalExecutor())

    def predictions(self, tuned: StageResult, predict: PredictConfig = ASKED) -> list[dict[str, Any]]:
        (spec, *_) = {result.spec for result in self.stage("predict", task=tuned.spec, predict=predict)}
        files = sorted((self.root / "predictions" / f"task={spec}").rglob("*.parquet"))
        return [row for path in files for row in pq.read_table(path, partitioning=None).to_pylist()]


@pytest.fixture
def world(small_root: SmallRoot, tmp_path: Path) -> World:
    return World(small_root, tmp_path)


def test_choices(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    others = {"egg": "fish", "fish": "egg"}
    rows = [
        {"question": "what is used?", "answer": r["noun"], "choices": [r["noun"], others.get(r["noun"], "egg")]}
        for r in world.truth
    ]
    tuned, metrics = world.finetune("choices", rows)
    names = [
        "fine-tuned", "shuffled video", "video left out", "majority", "pretrained alignment",
        "pretrained pseudo-log-likelihood", "linear probe", "text only",
    ]  # fmt: skip
    assert list(metrics["figures"]) == names and metrics["figures"]["fine-tuned"]["chance"]["value"] == 0.5
    folder = world.root / "finetuned" / tuned.spec
    assert VideoBertForMultipleChoice.from_pretrained(folder).encoder.config.model_type
    with pytest.raises(InputError, match=r"holds a VideoBertForMultipleChoice, no VideoBertForRetrieval"):
        VideoBertForRetrieval.from_pretrained(folder)
    told = world.predictions(tuned)
    assert {row["label"] for row in told} <= {"choice 1", "choice 2"}
    ask = AskCommand(
        video=world.truth[0]["video_id"], question="what?", choices="an egg | a fish", root=str(world.root)
    )
    ask.execute()
    lines = capsys.readouterr().out.splitlines()
    assert {line.split("  ")[1] for line in lines} == {"an egg", "a fish"}
    with pytest.raises(InputError, match=r"no fine-tuned model  for open-questions|no fine-tuned model"):
        replace(ask, choices="").execute()
    with pytest.raises(InputError, match=r"no video is called 'none'"):
        replace(ask, video="none").execute()
    with pytest.raises(InputError, match=r"predict\.question is empty"):
        world.predictions(tuned, PredictConfig())


def test_open_questions_and_retrieval(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    answers = ["egg", "fish"]
    rows = [{"question": "what is used?", "answer": answers[i % 2]} for i in range(len(world.truth))]
    tuned, metrics = world.finetune("open-questions", rows)
    assert "text only" in metrics["figures"] and "top1" in metrics["figures"]["fine-tuned"]
    assert {row["label"] for row in world.predictions(tuned)} <= set(answers)
    name = world.truth[0]["file"].rsplit("/", 1)[-1]
    uri = next(row["source_uri"] for row in world.predictions(tuned) if row["video_id"] == world.truth[0]["video_id"])
    assert uri.endswith(name)
    AskCommand(video=uri, question="what?", root=str(world.root), start_seconds=0, end_seconds=3).execute()
    assert len(capsys.readouterr().out.splitlines()) == 2
    tuned, metrics = world.finetune("retrieval", [{"text": row["caption"]} for row in world.truth])
    assert set(metrics["figures"]) == {"fine-tuned", "shuffled video", "majority", "linear probe", "pretrained"}
    assert metrics["figures"]["fine-tuned"]["candidates"]["value"] == metrics["examples"]["test"]
    assert all(-1 <= row["score"] <= 1 for row in world.predictions(tuned))


def test_two_tasks_on_one_encoder(world: World) -> None:
    verbs = sorted({row["verb"] for row in world.truth})
    rows = [{"label": "low" if verbs.index(r["verb"]) % 2 else "high"} for r in world.truth]
    asked = [{"question": "what is used?", "answer": ("egg", "fish", "leek")[i % 3]} for i in range(len(rows))]
    table = [span | row for span, row in zip(world.spans, asked, strict=True)]

    def write(rows: list[dict[str, Any]]) -> None:
        (world.root / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(table)
    world.also = ("open-questions:0.5:{root}/asked.jsonl",)
    tuned, metrics = world.finetune("classification", rows)
    (other,) = metrics["also"]
    assert (other["task"], other["weight"], other["examples"]["train"]) == (
        "open-questions", 0.5, metrics["examples"]["train"],
    )  # fmt: skip
    assert {"top1", "ece"} < set(other["figures"]["video left out"])
    assert {row["label"] for row in world.predictions(tuned, PredictConfig())} <= {"low", "high"}
    told = world.predictions(tuned, replace(ASKED, head=1))
    assert {row["task_name"] for row in told} == {"open-questions"}
    assert {label for row in told for label in row["labels"]} == {"egg", "fish", "leek"}
    with pytest.raises(InputError, match=r"head 2 is not among those"):
        world.predictions(tuned, replace(ASKED, head=2))
    write([row | {"answer": "egg" if row["answer"] == "leek" else row["answer"]} for row in table])
    assert world.finetune("classification", rows)[0].spec != tuned.spec, "other labels of any task, another model"
    write([row | {"split": {"test": "train", "train": "test"}.get(row["split"], "validation")} for row in table])
    with pytest.raises(InputError, match=r"is in the \w+ split of labels .*labels\.jsonl and in the \w+ split"):
        world.finetune("classification", rows)
    world.also = ("open-questions:much:{root}/asked.jsonl",)
    with pytest.raises(InputError, match=r"write TASK:WEIGHT:LABELS"):
        world.finetune("classification", rows)


@pytest.mark.slow
def test_captions(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    tuned, metrics = world.finetune("captions", [{"text": row["caption"]} for row in world.truth])
    assert set(metrics["figures"]) == {
        "fine-tuned", "majority", "shuffled video", "video left out", "nearest caption", "text only",
    }  # fmt: skip
    assert list(metrics["figures"]["fine-tuned"]) == ["cider_d", "bleu_4", "rouge_l", "distinct"]
    assert all(row["label"] is None for row in world.predictions(tuned))
    CaptionCommand(video=world.truth[0]["video_id"], root=str(world.root)).execute()
    assert len(capsys.readouterr().out.splitlines()) == 1
