"""What is to be found, as a TOML file says it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields

from videobert.errors import InputError
from videobert.runtime.filesystem import open_filesystem

__all__ = ["Rule", "read_rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One kind of content. It is looked for in one way: `text`, `words` or `task`."""

    name: str
    text: Sequence[str] = ()
    """Descriptions; a segment's score is its best cosine."""
    words: Sequence[str] = ()
    """Words and phrases of the caption; the score is how many of them are said."""
    task: str = ""
    """Spec of predictions that the stage `predict` wrote ..."""
    label: str = ""
    """... and the answer whose probability is the score."""
    threshold: float | None = None
    """Least score of a flag; needed where no verdicts tell it."""
    precision: float | None = None
    """Share of flags that are to be right, by the verdicts."""

    def __post_init__(self) -> None:
        ways = [name for name in ("text", "words", "task") if getattr(self, name)]
        if len(ways) != 1 or bool(self.task) != bool(self.label):
            raise InputError(
                f"rule {self.name!r} has {', '.join(ways) or 'nothing'}; give text, words, or task and label"
            )
        if isinstance(self.text, str) or isinstance(self.words, str):
            raise InputError(f"text and words of rule {self.name!r} are lists, such as [{self.text or self.words!r}]")
        if self.precision is not None and not 0 < self.precision <= 1:
            raise InputError(f"precision {self.precision} of rule {self.name!r} is no share; give 0 to 1, such as 0.9")
        if self.precision is None and self.threshold is None and not self.words:
            raise InputError(f"rule {self.name!r} has neither threshold nor precision; give one of them")


def read_rules(url: str) -> list[Rule]:
    """The tables `[[rule]]` of a file. Raises InputError for a file that is not there or is none."""
    filesystem, path = open_filesystem(url)
    known = {field.name for field in fields(Rule)}
    try:
        tables = tomllib.loads(filesystem.cat_file(path).decode())["rule"]
        if unknown := sorted({name for table in tables for name in table} - known):
            raise InputError(f"{url} knows no {', '.join(unknown)}; a rule has {', '.join(sorted(known))}")
        rules = [Rule(**table) for table in tables]
    except FileNotFoundError as error:
        raise InputError(f"rules {url} are not there; correct the path or URL") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{url} holds no rules ({error}); write [[rule]] tables with name and text, words or task"
        ) from error
    if len({rule.name for rule in rules}) < len(rules):
        raise InputError(f"two rules of {url} have one name; verdicts could not tell them apart")
    return rules
