"""Dead letters that are tried again: `videobert replay` in a process of its own, one at a time."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from videobert.errors import InputError
from videobert.serve.access import environment_without_tokens
from videobert.serve.jobs import BusyError
from videobert.serve.records import ReplayState

__all__ = ["Replays"]

_MOST_LINES = 500


class Replays:
    """Of the last one it remembers what it printed. `recipe` is what `--recipe` of the command takes."""

    def __init__(self, root: str, recipe: str) -> None:
        self._root, self._recipe = root, recipe
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._asked = ("", "")
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def start(self, reason: str, batches: Sequence[str]) -> ReplayState:
        """Begin. Raises BusyError while another runs, InputError when the service does not know the recipe."""
        if not self._recipe:
            raise InputError("the service does not know the recipe of this root; start it with --recipe")
        command = [sys.executable, "-m", "videobert", "replay", "--root", self._root, "--recipe", self._recipe]
        command += ["--where", reason, *(["--batch", ",".join(batches)] if batches else [])]
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                raise BusyError("a replay runs already; ask again when it has ended")
            self._lines.clear()
            self._asked = (reason, ",".join(batches))
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                env=environment_without_tokens(),
            )  # fmt: skip
            threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        return self.state()

    def state(self) -> ReplayState:
        """Of the one that runs, or ran last."""
        code = self._process.poll() if self._process else None
        state = "none" if self._process is None else "running" if code is None else "failed" if code else "done"
        reason, batch = self._asked
        return ReplayState(state=state, reason=reason, batch=batch, lines=list(self._lines))

    def close(self) -> None:
        """End it; what it has committed is kept, and the same replay goes on from there."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            self._lines.extend(line.rstrip() for line in lines)
