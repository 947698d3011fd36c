"""What rules flag, on content that was planted; thresholds keep what they promise on content that nobody labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import videobert
from tests.query.rows import EMBED, row_ids, unit_vectors, write_embeddings
from videobert.api import Root
from videobert.applications.moderate.rules import Rule
from videobert.applications.moderate.scores import scores_of
from videobert.applications.moderate.thresholds import threshold_for, wilson
from videobert.cli.main import main
from videobert.finetune.config import FinetuneConfig
from videobert.labels.read import parse_labels
from videobert.query.embeddings import open_embeddings
from videobert.query.segments import load_segments
from videobert.runtime.storage import Store
from videobert.tasks.classification import Classification

SAID = ["a fine day", "Damn it!", "well, DAMN. damn", "goddamn", "mind the step, please", ""] * 5
WORDS = '[[rule]]\nname = "swearing"\nwords = ["damn", "the step"]\n'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    store = Store(str(tmp_path_factory.mktemp("moderate")))
    write_embeddings(store, "a", unit_vectors(30), texts=SAID)
    write_embeddings(store, "b", unit_vectors(30, seed=1), texts=SAID)
    return videobert.open(store.root)


def rules(tmp_path: Path, text: str) -> str:
    (tmp_path / "rules.toml").write_text(text)
    return str(tmp_path / "rules.toml")


def test_words_are_found_whole_in_any_case(root: Root, tmp_path: Path) -> None:
    found = root.moderate(rules=rules(tmp_path, WORDS), batch="a")
    assert {flag.text for flag in found} == {"Damn it!", "well, DAMN. damn", "mind the step, please"}
    assert {flag.evidence for flag in found} == {"says 'damn'", "says 'the step'"}
    assert len(found) == 15 and {flag.batch for flag in found} == {"a"} and {flag.model for flag in found} == {EMBED}


def test_verdicts_set_the_threshold_and_are_not_asked_again(root: Root, tmp_path: Path) -> None:
    main(["moderate", "--root", root.url, "--rules", rules(tmp_path, WORDS), "--out", str(tmp_path / "queue.parquet")])
    queue = pq.read_table(tmp_path / "queue.parquet").to_pylist()
    assert len(queue) == 30
    judged = [row | {"verdict": "yes" if "amn" in row["text"] else "No"} for row in queue if row["batch"] == "a"]
    pq.write_table(pa.Table.from_pylist([*judged, queue[-1]]), tmp_path / "judged.parquet")
    wanted = rules(tmp_path, WORDS + "precision = 0.6\n")
    found = root.moderate(rules=wanted, verdicts=str(tmp_path / "judged.parquet"))
    assert {flag.batch for flag in found} == {"b"} and len(found) == 15
    assert found[0].precision == pytest.approx(2 / 3) and found[0].precision_low < 2 / 3 < found[0].precision_high
    strict = rules(tmp_path, WORDS + "precision = 0.9\n")
    with pytest.raises(videobert.InputError, match="no threshold of rule 'swearing' is right in 90% of its 15"):
        root.moderate(rules=strict, verdicts=str(tmp_path / "judged.parquet"))


def test_verdicts_are_labels_to_learn_from(root: Root, tmp_path: Path) -> None:
    ids = row_ids("a", 30)
    said = [(ids[0], "swearing", "no"), (ids[1], "swearing", "yes"), (ids[1], "theft", "no"), ("gone:0", "theft", "no")]
    judged, labels = tmp_path / "judged.csv", tmp_path / "labels.jsonl"
    judged.write_text("row_id,rule,verdict\n" + "".join(f"{','.join(row)}\n" for row in said))
    both = rules(tmp_path, WORDS + '[[rule]]\nname = "theft"\nwords = ["thief"]\n')
    root.moderate(rules=both, verdicts=str(judged), labels=str(labels))
    rows = parse_labels(labels.read_bytes(), "labels.jsonl")
    assert [row.label for row in rows] == [("not swearing",), ("swearing", "not theft")]
    task = Classification()
    facts = task.facts([*rows, *rows], FinetuneConfig())
    assert facts["problem_type"] == "multi_label_classification" and task.takes(rows[0])
    segments = load_segments(open_embeddings(Store(root.url), EMBED, ["a"]))
    assert [(r.video, r.start_seconds) for r in rows] == [
        (segments.videos[n], segments.rows[n]["start_seconds"]) for n in (0, 1)
    ]
    with pytest.raises(videobert.InputError, match="made of --verdicts"):
        root.moderate(rules=both, labels=str(labels))


def test_descriptions_are_compared_with_vectors(root: Root) -> None:
    segments = load_segments(open_embeddings(Store(root.url), EMBED, ["a"]))
    vectors = dict(zip(("x", "y"), unit_vectors(30)[[3, 7]], strict=True))
    rule = Rule(name="r", text=["x", "y"], threshold=0.9)
    score_N, evidence = scores_of(rule, segments, Store(root.url), vectors.__getitem__)
    assert np.flatnonzero(score_N > 0.999).tolist() == [3, 7] and evidence[7] == "looks like 'y'"
    assert segments.row_ids == row_ids("a", 30)


def test_precision_on_new_content_is_within_the_interval_of_the_labelled() -> None:
    rng = np.random.default_rng(0)

    def content(count: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        right = rng.random(count) < 0.2
        return rng.standard_normal(count) + 2 * right, right

    held = 0
    for _ in range(40):
        found = threshold_for(*content(600), precision=0.8)
        assert found is not None and found.precision >= 0.8 and found.recall > 0.2
        score, right = content(20_000)
        held += found.precision_low <= right[score >= found.score].mean() <= found.precision_high
    assert held >= 36


def test_equal_scores_are_flagged_together_and_intervals_are_wilsons() -> None:
    score_N, right_N = np.array([3.0, 2, 2, 1]), np.array([True, True, False, False])
    found = threshold_for(score_N, right_N, precision=0.9)
    assert found is not None and found.score == 3 and found.recall == 0.5
    assert threshold_for(score_N, np.zeros(4, bool), precision=0.1) is None
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no rules"),
        ("[[rule", "holds no rules"),
        ('[[rule]]\nname = "x"\n', "rule 'x' has nothing"),
        ('[[rule]]\nname = "x"\nwords = ["a"]\ntext = ["a"]\n', "has text, words"),
        ('[[rule]]\nname = "x"\nwords = "a"\n', "are lists"),
        ('[[rule]]\nname = "x"\nword = ["a"]\n', "knows no word"),
        ('[[rule]]\nname = "x"\ntext = ["a"]\n', "neither threshold nor precision"),
        ('[[rule]]\nname = "x"\nwords = ["a"]\nprecision = 2\n', "is no share"),
        (WORDS + WORDS, "two rules"),
        ('[[rule]]\nname = "x"\ntask = "t.1"\nlabel = "l"\nthreshold = 0.5\n', "t.1 holds no predictions"),
        ('[[rule]]\nname = "x"\ntask = "t.1"\nthreshold = 0.5\n', "task and label"),
    ],
)
def test_what_is_no_rule_is_one_sentence(root: Root, tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(videobert.InputError, match=told):
        root.moderate(rules=rules(tmp_path, text))


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"row_id": ["a"], "rule": ["swearing"]}, "lacks verdict"),
        ({"row_id": ["a"], "rule": ["swearing"], "verdict": ["perhaps"]}, "'perhaps' of a"),
        ({"row_id": ["a"], "rule": ["other"], "verdict": ["yes"]}, "verdicts are of other"),
    ],
)
def test_what_is_no_verdict_is_one_sentence(root: Root, tmp_path: Path, table: dict[str, list[str]], told: str) -> None:
    pq.write_table(pa.table(table), tmp_path / "v.parquet")
    with pytest.raises(videobert.InputError, match=told):
        root.moderate(rules=rules(tmp_path, WORDS), verdicts=str(tmp_path / "v.parquet"))
