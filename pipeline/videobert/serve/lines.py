"""The lines for command line and Python that answer what a page shows, for its copy buttons."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from videobert.query.application_tables import TableQuery
from videobert.serve.answers import MOST_POINTS, Question

__all__ = [
    "letter_lines", "listing_lines", "map_lines", "query_of", "replay_lines", "reports_line", "rows_query",
    "search_lines", "table_lines", "upload_lines", "watch_lines",
]  # fmt: skip

Lines = list[tuple[str, str]]
"""(for what, the line)."""


def query_of(asked: Question, model: str) -> dict[str, Any]:
    """The question as the parameters of an address; those that say nothing are left out."""
    plain = Question()
    names = {"from_seconds": "from", "to_seconds": "to", "batches": "batch"}
    given = {
        names.get(name, name): getattr(asked, name)
        for name in Question.__dataclass_fields__
        if name != "vector" and getattr(asked, name) != getattr(plain, name)
    }
    return given | ({"model": model} if model != "current" else {})


def search_lines(root: str, asked: Question, model: str, **more: str) -> Lines:
    """The lines that give the same hits."""
    flags = {"holding": "text", "row": "like"}
    values: dict[str, Any] = dict(more)
    values |= {name: value for name, value in query_of(asked, model).items() if name not in ("text", "offset")}
    values["top"] = asked.top + asked.offset
    flagged = asked.text.startswith("-")  # whoever sent the address wrote it: it is no flag
    words = ["videobert", "search", *([asked.text] if asked.text and not flagged else []), "--root", root]
    for name, value in values.items():
        words += [f"--{flags.get(name, name.replace('_', '-'))}", str(value)]
    words += ["--", asked.text] if flagged else []
    keywords = {"from": "from_seconds", "to": "to_seconds", "batch": "batches"}
    arguments = [repr(asked.text)] if asked.text else []
    arguments += [f"{keywords.get(name, name)}={value!r}" for name, value in values.items()]
    return [("command line", shlex.join(words)), ("Python", f"videobert.open({root!r}).search({', '.join(arguments)})")]


def upload_lines(root: str, service: str, asked: Question, model: str, *, encoder: str) -> Lines:
    """Those of a file: the root itself compares whole ones, the service also some of their seconds."""
    question = replace(asked, text="", row="", by="vector")
    if (asked.from_seconds, asked.to_seconds) != (Question().from_seconds, Question().to_seconds):
        return search_lines(service, question, model, file="FILE")
    return search_lines(root, question, model, file="FILE", **({} if encoder == "packaged" else {"encoder": encoder}))


def watch_lines(root: str, file: str, *, follow: float, per_hour: float) -> Lines:
    """Those that watch the same file, on the machine of the service."""
    given = {name: value for name, value in (("follow", follow), ("per_hour", per_hour)) if value}
    words = ["videobert", "watch", "--root", root, "--file", file]
    for name, value in given.items():
        words += [f"--{name.replace('_', '-')}", f"{value:g}"]
    arguments = "".join(f", {name}={value:g}" for name, value in given.items())
    python = f"list(videobert.open({root!r}).watch(file={file!r}{arguments}))"
    return [("command line", shlex.join(words)), ("Python", python)]


def listing_lines(root: str, what: str) -> Lines:
    """A command without flags, and the method of the same name."""
    line = f"videobert {what} --root {shlex.quote(root)}"
    return [("command line", line), ("Python", f"videobert.open({root!r}).{what}()")]


def map_lines(root: str, spec: str) -> Lines:
    """The rows behind the points, and the points."""
    rows = "select row_id, batch, start_seconds, title, embedding from embeddings where level = 'segment'"
    imported = "from videobert.query.projection import project_rows"
    points = f"project_rows(videobert.open({root!r}).embeddings(model={spec!r}), most={MOST_POINTS})"
    line = shlex.join(["videobert", "sql", rows, "--root", root, "--model", spec])
    return [("command line", line), ("Python", f"{imported}; {points}")]


def reports_line(root: str, a: str, b: str) -> str:
    """The figures of two evaluations."""
    return (
        "from videobert.admin.evaluations import read_metrics; from videobert.runtime.manifest import load_manifest; "
        f"from videobert.runtime.storage import Store; store = Store({root!r}); "
        f"[read_metrics(store, load_manifest(store, 'evaluate', spec, '')) for spec in {(a, b)!r}]"
    )


def rows_query(asked: TableQuery) -> dict[str, Any]:
    """Which rows of a table, as the parameters of an address; those that say nothing are left out."""
    plain = TableQuery()
    return {
        name: getattr(asked, name)
        for name in TableQuery.__dataclass_fields__
        if getattr(asked, name) != getattr(plain, name)
    }


def table_lines(folder: str, application: str, table: str, asked: TableQuery) -> Lines:
    """The rows of a table that are shown."""
    given = ", ".join(f"{name}={value!r}" for name, value in rows_query(asked).items())
    imported = "from videobert.query.application_tables import TableQuery, read_table_part"
    return [
        ("Python", f"{imported}; read_table_part({folder!r}, {application!r}, {table!r}, TableQuery({given})).rows")
    ]


def letter_lines(root: str, batch: str, stage: str, reason: str) -> Lines:
    """The dead letters with these values; an empty one takes all."""
    letters = f"videobert.open({root!r}).dead_letters({f'batches={batch!r}' if batch else ''})"
    wanted = {name: value for name, value in (("stage", stage), ("reason", reason)) if value}
    if not wanted:
        words = ["videobert", "dead-letters", "--root", root, *(["--batch", batch] if batch else [])]
        return [("command line", shlex.join(words)), ("Python", letters)]
    where = _condition(wanted | ({"batch": batch} if batch else {}))
    query = f"select * from dead_letters where {where}"  # noqa: S608 - for whoever copies it; values are quoted
    such = " and ".join(f"letter.{name} == {value!r}" for name, value in wanted.items())
    return [
        ("command line", shlex.join(["videobert", "sql", query, "--root", root])),
        ("Python", f"[letter for letter in {letters} if {such}]"),
    ]


def replay_lines(root: str, batch: str, stage: str, reason: str) -> Lines:
    """How to try those of a reason again; browsers hold no token that may."""
    if not reason:
        return []
    plain = not stage and reason.replace("-", "").isalnum()  # whatever else an address says, it is no SQL of its own
    where = reason if plain else _condition({"stage": stage, "reason": reason} if stage else {"reason": reason})
    words = ["videobert", "replay", "--root", root, "--where", where, "--recipe", "RECIPE"]
    return [("trying these again", shlex.join([*words, *(["--batch", batch] if batch else [])]))]


def _condition(wanted: dict[str, str]) -> str:
    """In SQL, where a quote is written twice."""
    quoted = {name: value.replace("'", "''") for name, value in wanted.items()}
    return " and ".join(f"{name} = '{value}'" for name, value in quoted.items())
