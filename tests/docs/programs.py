"""What a line of the documentation must satisfy, by the program that it calls."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence

from tests.docs.material import REPOSITORY
from videobert.cli.main import parse_command

__all__ = ["check_command"]


def check_command(words: Sequence[str]) -> None:
    """Parse one command without running it. Raises AssertionError or what the program's own parser raises."""
    words = list(words)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # variables for one command
        words.pop(0)
    if not words:
        return
    program = words[0].rsplit("/", 1)[-1]
    assert program in _CHECKS, f"{program}: teach tests/docs/programs.py how to check it"
    _CHECKS[program](words[1:])
    _paths_exist(words[1:])


def _videobert(arguments: Sequence[str]) -> None:
    if arguments == ["--help"]:
        return
    try:
        parse_command([*arguments])
    except SystemExit as error:
        if error.code:  # `videobert X --help` ends well
            raise


def _make(arguments: Sequence[str]) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for argument in arguments:
        assert "=" in argument or argument in targets, f"make has no target {argument}"


def _python(arguments: Sequence[str]) -> None:
    if not arguments or arguments[0] != "-m":
        assert not arguments or arguments == ["-"] or (REPOSITORY / arguments[0]).exists()
        return
    module, flags = arguments[1], arguments[2:]
    if module == "videobert":
        _videobert(flags)
        return
    known = _options_of(module)
    for flag in flags:
        if flag.startswith("--"):
            assert flag.partition("=")[0] in known, f"{module} has no option {flag}, but {sorted(known)}"


def _options_of(module: str) -> set[str]:
    """Every option that the source of a module declares: `add_argument("--x")`, or a field of a dataclass for tyro."""
    base = REPOSITORY / module.replace(".", "/")
    file = base.with_suffix(".py")
    assert file.exists() or (base / "__main__.py").exists(), f"there is no module {module} to run"
    files = [file] if file.exists() else [*base.glob("*.py")]
    names: set[str] = {"--help"}
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text()))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            names |= {str(a.value) for a in node.args if isinstance(a, ast.Constant)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add("--" + node.target.id.replace("_", "-"))
    return names


def _pip(arguments: Sequence[str]) -> None:
    if arguments[0] != "install":
        return
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for wanted in re.findall(r"videobert-pipeline\[([^\]]+)\]", " ".join(arguments)):
        assert set(wanted.split(",")) <= set(extras), f"no such extra: {wanted}"


def _airflow(arguments: Sequence[str]) -> None:
    from airflow.cli.cli_parser import get_parser

    get_parser().parse_args([*arguments])


def _anything(arguments: Sequence[str]) -> None:
    """A program of other people: only the paths below are checked."""


def _paths_exist(arguments: Sequence[str]) -> None:
    """Words that look like paths of this repository are such."""
    for argument in arguments:
        path = argument.partition("::")[0].rpartition("=")[2]
        if re.match(r"(dags|docs|infra|operators|pipeline|tests)/|(constraints\.txt|pyproject\.toml|Makefile)$", path):
            written_here = path in ("infra/compose/.env", "tests/benchmarks/RESULTS.md")
            assert written_here or (REPOSITORY / path).exists(), f"there is no {path}"


_CHECKS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "videobert": _videobert,
    "make": _make,
    "python": _python,
    "pip": _pip,
    "airflow": _airflow,
    **dict.fromkeys(
        ("cp", "docker", "export", "grep", "kubectl", "pre-commit", "pytest", "source", "terraform", "uv", "uvx"),
        _anything,
    ),
}
