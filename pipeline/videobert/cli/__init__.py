"""The command line: `videobert --help`."""

from videobert.cli.main import main

__all__ = ["main"]
