"""Pictures of the page for the documentation: `python -m tests.serve.screenshots ROOT`, into docs/images."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.serve.conftest import TOKEN, serving

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"


def main(root: str) -> None:
    """JPEG, so that the three together stay below 200 kB."""
    with serving(root) as client, sync_playwright() as playwright:
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(base_url=str(client.base_url), viewport={"width": 1100, "height": 700})
        row = client.get("/api/v1/search?text=stir+the+egg&top=1").json()["hits"][0]["hit"]["row_id"]
        shown = (
            ("search", "/?text=stir+the+egg", 1100, 700), ("row", f"/rows/{row}", 760, 1240),
            ("batches", "/batches", 1100, 420),
        )  # fmt: skip
        for name, path, width, height in shown:
            page.set_viewport_size({"width": width, "height": height})
            page.goto(f"{path}{'&' if '?' in path else '?'}token={TOKEN}")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(1000)
            page.screenshot(path=IMAGES / f"service-{name}.jpg", type="jpeg", quality=70)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
