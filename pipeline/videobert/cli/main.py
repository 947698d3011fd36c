"""Entry point: picks the command, turns errors into one sentence and an exit code."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import tyro

from videobert.application import application_names, class_name_of
from videobert.batch_key import parse_batch_keys
from videobert.errors import EMPTY_BATCH_EXIT_CODE, EmptyBatchError, InputError, PipelineError

__all__ = ["COMMANDS", "load_command", "main", "parse_command", "report_errors"]


class Command(Protocol):
    """What every command is."""

    def execute(self) -> None: ...


COMMANDS = {
    "run": "stages:RunCommand",
    "check": "check:CheckCommand",
    "stage": "stages:StageCommand",
    "status": "state:StatusCommand",
    "search": "query:SearchCommand",
    "sql": "query:SqlCommand",
    "index": "index:IndexCommand",
    "lineage": "query:LineageCommand",
    "forecast": "visualize:ForecastCommand",
    "text-to-video": "visualize:TextToVideoCommand",
    "labels": "labels:LabelsCommand",
    "finetune": "tasks:FinetuneCommand",
    "predict": "tasks:PredictCommand",
    "ask": "ask:AskCommand",
    "caption": "ask:CaptionCommand",
    "youcook": "youcook:YoucookCommand",
    "files": "files:FilesCommand",
    "dead-letters": "state:DeadLettersCommand",
    "replay": "replay:ReplayCommand",
    "forget": "forget:ForgetCommand",
    "models": "models:ModelsCommand",
    "serve": "serve:ServeCommand",
    "trigger": "schedule:TriggerCommand",
    "backfill": "schedule:BackfillCommand",
    "demo-videos": "demo_videos:DemoVideosCommand",
    **{name: f".applications.{name.replace('-', '_')}:{class_name_of(name)}" for name in application_names()},
}
"""Name -> module of this package, or `.` and one of `videobert`, and class; only what is asked for is imported."""

_BATCH_FLAGS = ("batch", "reference")
"""Flags that hold batch keys, in whatever command: looked at before any work, as in the DAGs."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.getLogger("videobert").setLevel(logging.INFO)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return
    signal.signal(signal.SIGTERM, _terminate)
    with report_errors():
        parse_command(arguments).execute()


@contextmanager
def report_errors() -> Iterator[None]:
    """Ends the process with one sentence and the exit code that the overview promises."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error, EmptyBatchError):
            sys.exit(EMPTY_BATCH_EXIT_CODE)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except _storage_errors() as error:
        print(
            f"error: storage failed, retries included: {type(error).__name__}: {error}; "
            "what is committed is kept, the same command resumes",
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; what is committed is kept, the same command resumes", file=sys.stderr)
        sys.exit(130)


def _storage_errors() -> tuple[type[BaseException], ...]:
    """What storage clients raise in the end; those of clients that are not loaded cannot have been raised."""
    clients = (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError"))
    return (OSError, *(getattr(sys.modules[module], name) for module, name in clients if module in sys.modules))


def parse_command(arguments: Sequence[str]) -> Command:
    """The command with its flags. Raises InputError for no such command or key, SystemExit for a wrong flag."""
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        raise InputError(f"there is no command {name!r}; the commands are {', '.join(COMMANDS)}")
    command = load_command(name)
    with_recipe = getattr(command, "with_recipe", None)
    default: Any = with_recipe(rest) if with_recipe else None
    parsed: Command = tyro.cli(
        command, args=rest, default=default, prog=f"videobert {name}", config=(tyro.conf.AvoidSubcommands,)
    )
    for flag in _BATCH_FLAGS:
        parse_batch_keys(getattr(parsed, flag, ""))
    return parsed


def load_command(name: str) -> type[Command]:
    """The class of a command."""
    module, _, class_name = COMMANDS[name].partition(":")
    found: type[Command] = getattr(importlib.import_module(f".{module}", "videobert.cli"), class_name)
    return found


def _overview() -> str:
    lines = [f"  {name:<14}{(inspect.getdoc(load_command(name)) or '').splitlines()[0]}" for name in COMMANDS]
    return "\n".join(
        [
            "videobert: from a bucket of videos to Parquet embeddings that anyone can query.",
            "",
            "usage: videobert COMMAND [--help] ...",
            "",
            *lines,
            "",
            "Exit codes: 0 done, 1 failed, 2 wrong input (value, cause and cure in one sentence), "
            "3 a day without videos, 130 interrupted.",
        ]
    )


def _terminate(_number: int, _frame: object) -> None:
    """SIGTERM ends like Ctrl-C, so that workers and temporary files are cleaned up."""
    raise KeyboardInterrupt
