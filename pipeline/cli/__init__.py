"""The command line: `videobert --help`."""

from pipeline.cli.main import main

__all__ = ["main"]
