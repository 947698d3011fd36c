"""`moderate`: a queue of segments for people to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import videobert
from videobert.application import Application
from videobert.applications.moderate.rules import Rule, read_rules
from videobert.applications.moderate.scores import scores_of
from videobert.applications.moderate.thresholds import Threshold, threshold_for
from videobert.applications.moderate.verdicts import label_lines, read_verdicts
from videobert.batch_key import parse_batch_keys
from videobert.errors import InputError
from videobert.query.embeddings import open_embeddings, resolve_embed_spec
from videobert.query.segments import Segments, load_segments
from videobert.runtime.record_files import NONE, write_file, write_records
from videobert.runtime.storage import Store

if TYPE_CHECKING:
    from videobert.api import Root

__all__ = ["Flag", "Moderate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One segment that a rule caught."""

    row_id: str
    rule: str
    verdict: str
    """Empty, for people to write yes or no."""
    score: float
    threshold: float
    evidence: str
    """What was found."""
    batch: str
    start_seconds: float
    end_seconds: float
    text: str
    title: str
    source_uri: str
    precision: float = field(metadata={NONE: -1.0})
    """Of the threshold on the verdicts; -1 where it was given ..."""
    precision_low: float = field(metadata={NONE: -1.0})
    """... and its interval of 95 %."""
    precision_high: float = field(metadata={NONE: -1.0})
    recall: float = field(metadata={NONE: -1.0})
    """Share of the labelled segments that are right and reach the threshold; -1 where it was given."""
    model: str
    """Name of the embeddings, which begins with the model's spec."""


@dataclass(frozen=True, kw_only=True)
class Moderate(Application[Flag]):
    """Flag segments by rules over what is seen, said and predicted, for people to judge.

    videobert moderate --root demo --rules rules.toml --batch 2026-01-03 --out queue.parquet

    videobert moderate --root demo --rules rules.toml --verdicts judged.parquet --out queue.parquet

    videobert moderate --root demo --rules rules.toml --verdicts judged.parquet --labels judged.jsonl

    A rule has descriptions, which are compared with the vectors, or words of captions, or a label of a fine-tuned
    model, and a threshold or a wanted precision. People write yes or no into the column `verdict` of the queue; given
    back as --verdicts, it sets the thresholds, and what is judged is not asked again.
    """

    rules: str
    """TOML file with `[[rule]]` tables, a path or a URL."""
    verdicts: str = ""
    """Table of verdicts (Parquet, CSV or JSON lines) with row_id, rule and verdict: yes or no."""
    batch: str = ""
    """Only these batches, separated by commas; verdicts may be of any."""
    out: str = ""
    """Parquet file to write the queue to, a path or a URL; empty: print it."""
    labels: str = ""
    """JSON lines to write the verdicts to as labels for `videobert finetune`, a path or a URL that ends in .jsonl."""

    def __post_init__(self) -> None:
        if self.labels and not (self.verdicts and self.labels.endswith(".jsonl")):
            raise InputError(f"labels {self.labels!r} are made of --verdicts and end in .jsonl; give both so")

    def answer(self, root: Root) -> Iterator[Flag]:
        store = Store(self.root)
        spec = resolve_embed_spec(store, self.model)
        rules = read_rules(self.rules)
        verdicts = read_verdicts(self.verdicts) if self.verdicts else {}
        segments = load_segments(open_embeddings(store, spec))
        known = {rule.name for rule in rules}

        def encode(text: str) -> NDArray[np.float32]:
            return root.encode(text, model=spec)

        if strange := sorted({rule for _, rule in verdicts} - known):
            raise InputError(f"verdicts are of {', '.join(strange)}, and {self.rules} has {', '.join(sorted(known))}")
        scored = [(rule, *scores_of(rule, segments, store, encode)) for rule in rules]
        if self.labels:
            write_file(self.labels, label_lines(verdicts, segments))
        limits = [_threshold(rule, score_N, segments, verdicts) for rule, score_N, _ in scored]
        return (
            flag
            for (rule, score_N, evidence), limit in zip(scored, limits, strict=True)
            for flag in self._flags(rule, score_N, evidence, limit, segments, verdicts, spec)
        )

    def line(self, record: Flag) -> str:
        found = f"{record.rule:<16.16} {record.score:6.3f}  {record.evidence:<32.32}"
        return f"{found} {record.title:<24.24} {record.start_seconds:7.1f} s  {record.row_id}"

    def execute(self) -> None:
        if not self.out:
            super().execute()
            return
        rows = write_records(self.out, Flag, self.answer(videobert.open(self.root)))
        print(f"{rows:,} flags: {self.out}")

    def _flags(
        self,
        rule: Rule,
        score_N: NDArray[np.float64],
        evidence: list[str],
        limit: Threshold,
        segments: Segments,
        verdicts: Mapping[tuple[str, str], bool],
        spec: str,
    ) -> Iterator[Flag]:
        """Highest score first."""
        wanted = parse_batch_keys(self.batch)
        for place in np.argsort(-score_N, kind="stable"):
            row = segments.rows[place]
            if score_N[place] < limit.score:
                return
            if (row["row_id"], rule.name) in verdicts or (wanted and row["batch"] not in wanted):
                continue
            yield Flag(
                **row, rule=rule.name, verdict="", score=float(score_N[place]), threshold=limit.score,
                evidence=evidence[place], precision=limit.precision, precision_low=limit.precision_low,
                precision_high=limit.precision_high, recall=limit.recall, model=spec,
            )  # fmt: skip


def _threshold(
    rule: Rule, score_N: NDArray[np.float64], segments: Segments, verdicts: Mapping[tuple[str, str], bool]
) -> Threshold:
    said = [(place, verdicts[row_id, rule.name]) for place, row_id in enumerate(segments.row_ids)
            if (row_id, rule.name) in verdicts]  # fmt: skip
    if rule.precision is not None and said:
        right_N = np.array([right for _, right in said])
        found = threshold_for(score_N[[place for place, _ in said]], right_N, precision=rule.precision)
        if found is None:
            raise InputError(
                f"no threshold of rule {rule.name!r} is right in {rule.precision:.0%} of its {len(said)} verdicts; "
                "want less, or describe it better"
            )
        return found
    if rule.threshold is None and not rule.words:
        raise InputError(
            f"rule {rule.name!r} wants a precision of {rule.precision} and has no verdicts yet; give it a threshold to "
            "begin with"
        )
    return Threshold(score=1.0 if rule.threshold is None else rule.threshold)
