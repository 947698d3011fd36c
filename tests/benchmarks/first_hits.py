"""How long from `videobert serve` to a page with hits, on the clock.

    python -m tests.benchmarks.first_hits ROOT [--question TEXT] [--times N]

Starts the service as a user does, follows the address that it prints, and asks until the page shows a clip. To see it
cold, drop the kernel's page cache before.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from http.cookiejar import CookieJar
from urllib.request import HTTPCookieProcessor, build_opener

_ADDRESS = re.compile(r"(http://127\.0\.0\.1:\d+)\S*")
_PATIENCE = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--question", default="stir+the+egg")
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    for _ in range(options.times):
        listening, answered, hits = first_hits(options.root, options.question)
        print(f"listening after {listening:.2f} s, {hits} hits after {answered:.2f} s", flush=True)


def first_hits(root: str, question: str) -> tuple[float, float, int]:
    """Seconds until the address is printed and until a page has hits, and how many it has."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "videobert", "serve", "--root", root, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as service:
        assert service.stdout is not None
        try:
            address = next(found for line in service.stdout if (found := _ADDRESS.search(line)))
            listening = time.monotonic() - begun
            browser = build_opener(HTTPCookieProcessor(CookieJar()))  # which the token comes in
            browser.open(address[0]).read()
            while time.monotonic() - begun < _PATIENCE:
                page = browser.open(f"{address[1]}/?text={question}").read().decode()
                if hits := page.count("<video"):
                    return listening, time.monotonic() - begun, hits
                time.sleep(0.05)
            raise SystemExit(f"no hit within {_PATIENCE:.0f} s: does {root} hold an embedded batch?")
        finally:
            service.terminate()


if __name__ == "__main__":
    main()
