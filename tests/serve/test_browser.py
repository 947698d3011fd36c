"""The page in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

import videobert
from tests.evaluate import test_report
from tests.query import rows
from tests.query.silent import copy_half_silent, is_silent
from tests.serve.conftest import TOKEN, serving
from tests.serve.frames import difference, frames, shown_at
from tests.serve.hostile_root import ARABIC, HOSTILE, write_hostile_root
from tests.serve.predictions import write_predictions
from tests.serve.sound_root import copy_with_sound
from tests.serve.tables import WrittenFlag, write_table
from tests.small_root import BATCHES, SmallRoot
from videobert.api import Hit
from videobert.evaluate.report import render_report
from videobert.runtime.manifest import load_manifest, save_manifest
from videobert.runtime.pointer import Pointer, move_pointer, read_pointer
from videobert.runtime.storage import Store
from videobert.serve.options import ServeOptions

pytestmark = pytest.mark.slow
Visit = Callable[..., Page]
PIXELS = """video => { const c = document.createElement('canvas');
  c.width = video.videoWidth; c.height = video.videoHeight;
  c.getContext('2d').drawImage(video, 0, 0); return [video.currentTime, c.width, c.height,
  Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)]; }"""
"""What is on screen, as a canvas sees it."""
LINKED = """links => links.flatMap(a => [a.href, a.firstElementChild.dataset.video, a.firstElementChild.poster])
  .map(address => new URL(address, location).searchParams.get('model'))"""
"""Models that the addresses of cards name."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """`make test` installs it; where that cannot be, VIDEOBERT_NO_BROWSER=1 says that somebody knows."""
    program = shutil.which("chromium")
    if program is None and os.environ.get("VIDEOBERT_NO_BROWSER") == "1":
        pytest.skip("there is no Chromium, and VIDEOBERT_NO_BROWSER=1 says that this is known")
    assert program, "there is no Chromium: `make browser` installs Debian's; VIDEOBERT_NO_BROWSER=1 does without"
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not start for root, which tests in containers are.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, client: httpx.Client, **context: Any) -> Iterator[Visit]:
    """Opens a path in a fresh profile that was let in; an error of the script fails the test."""
    inside = browser.new_context(base_url=str(client.base_url), **context)
    page, errors = inside.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"/?token={TOKEN}")
    assert "token" not in page.url

    def visit(path: str) -> Page:
        page.goto(path)
        return page

    yield visit
    inside.close()
    assert errors == []


@pytest.fixture(scope="module")
def client(small_root: SmallRoot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over the small root with a label for every segment, and a gate of its evaluation."""
    folder = tmp_path_factory.mktemp("labelled") / "demo"
    shutil.copytree(small_root.root, folder)
    store = Store(str(folder))
    write_predictions(store, small_root.specs["embed"], lambda row: f"part {row['segment'] % 2}")
    evaluated = load_manifest(store, "evaluate", small_root.specs["evaluate"], "")
    assert evaluated is not None
    gate = {"gate": "verb top-1 above the language prior, standard errors", "found": 25.2, "needed": 5, "holds": True}
    save_manifest(store, replace(evaluated, facts={**evaluated.facts, "gates": [gate]}))
    found = (videobert.open(str(folder)).search("egg", top=30) * 2)[:30]
    write_table(f"{folder}-tables", "best-of", "a", [
        WrittenFlag(row_id=hit.row_id, model=small_root.specs["embed"], kind="good", verdict="yes" if n % 2 else "")
        for n, hit in enumerate(found)
    ])  # fmt: skip
    watched = folder.with_name("watched")
    watched.mkdir()
    source = Path(urlsplit(found[0].source_uri).path)
    for path in (source, source.with_suffix(".vtt")):
        shutil.copy(path, watched / f"new{path.suffix}")
    options = ServeOptions(applications=f"{folder}-tables", watch=str(watched), watch_per_hour=1e6, watch_seconds=0.1)
    with serving(str(folder), options) as client:
        yield client


@pytest.fixture
def visit(browser: Browser, client: httpx.Client) -> Iterator[Visit]:
    with visiting(browser, client) as visit:
        yield visit


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("hostile")
    store = write_hostile_root(f"{folder}/root")
    write_table(f"{folder}/tables", "best-of", "a", [
        WrittenFlag(row_id=f"v{n}:0", model=("current", text)[n % 2], verdict=text, kind=text, text=text, title=text)
        for n, text in enumerate([*HOSTILE, ARABIC])
    ])  # fmt: skip
    (folder / "watched").mkdir()
    (folder / "watched" / f"{HOSTILE[1]}.mp4").write_bytes(b"no video")
    with serving(store.root, ServeOptions(applications=f"{folder}/tables", watch=f"{folder}/watched")) as client:
        yield client


@pytest.fixture(scope="module")
def row(small_root: SmallRoot) -> Hit:
    """One that does not begin with its video."""
    return next(hit for hit in videobert.open(small_root.root).search("egg", top=50) if hit.start_seconds > 3)


def ids(page: Page) -> list[str]:
    shown = page.locator(".card .copy").evaluate_all("buttons => buttons.map(b => b.dataset.copy)")
    return list(shown)


def test_a_search_answers_while_one_types(visit: Visit, small_root: SmallRoot) -> None:
    page = visit("/")
    page.keyboard.press("/")
    page.keyboard.type("stir the egg")
    page.wait_for_selector(".card")
    page.wait_for_url("**/?text=stir+the+egg&**")
    expected = videobert.open(small_root.root).search("stir the egg", top=12)
    assert ids(page) == [hit.row_id for hit in expected]
    page.get_by_text("Filters").click()
    page.get_by_label("Batches").fill(BATCHES[0])
    page.wait_for_url(f"**batch={BATCHES[0]}**")
    assert {hit.batch for hit in expected if hit.row_id in ids(page)} == {BATCHES[0]}
    page.reload()  # the address is that of what is shown
    assert {hit.batch for hit in expected if hit.row_id in ids(page)} == {BATCHES[0]}
    page.get_by_label("Batches").fill("no key!")
    page.get_by_role("alert").wait_for()
    assert "is no key" in page.get_by_role("alert").inner_text()


def test_what_is_refused_while_one_types_is_a_sentence_below_the_box(visit: Visit) -> None:
    """Whether the address is wrong, which is answered by a page, or the token, which is by JSON."""
    page = visit("/?text=egg")
    page.get_by_text("Filters").click()
    page.get_by_label("From second").fill("-1")
    alert = page.locator("#results [role=alert]")
    alert.wait_for()
    assert alert.inner_text() == "from: Input should be greater than or equal to 0"
    assert page.locator("main").count() == 1, "a page in the page"
    page.context.clear_cookies()
    page.get_by_label("From second").fill("1")
    alert.get_by_text("this needs the token").wait_for()


def test_a_label_narrows_the_search_and_two_models_are_shown_side_by_side(visit: Visit, small_root: SmallRoot) -> None:
    page = visit("/?text=stir+the+egg&label=part+1")
    expected = [hit.row_id for hit in videobert.open(small_root.root).search("stir the egg", top=99)]
    odd = [row_id for row_id in expected if int(row_id.partition(":")[2]) % 2]
    assert ids(page) == odd[:12]
    page.get_by_label("Label").select_option("any")
    page.get_by_label("Next to model").select_option("promoted")
    page.locator(".sides").wait_for()
    assert page.locator(".sides section").count() == 2
    assert ids(page) == [*expected[:12], *expected[:12]]
    assert "12 segments are found by both" in page.locator(".count").inner_text()


def test_segments_without_a_text_can_be_asked_for(browser: Browser, small_root: SmallRoot, tmp_path: Path) -> None:
    root = copy_half_silent(small_root, tmp_path / "demo")
    expected = [hit.row_id for hit in videobert.open(root).search("stir the egg", top=99)]
    with serving(root) as client, visiting(browser, client) as visit:
        page = visit("/?text=stir+the+egg")
        page.get_by_text("Filters").click()
        for option, silent in (("without text", True), ("with text", False)):
            page.get_by_label("Text", exact=True).select_option(option)
            page.wait_for_url(f"**captions={option.partition(' ')[0]}&**")
            assert ids(page) == [row_id for row_id in expected if is_silent(row_id) == silent][:12]
        page.reload()  # the address says it
        assert ids(page) == [row_id for row_id in expected if not is_silent(row_id)][:12]
        page.get_by_text("The same from a terminal").click()
        assert "--captions with " in page.locator(".lines").inner_text()


def test_a_promotion_while_a_search_runs_is_shown_by_the_next_search(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a reload; and while the pointer goes back and forth no page shows hits of two models."""
    store = Store(str(tmp_path))
    pointers = [Pointer(model_spec=f"pretrain-{n}", embed_spec=f"pretrain-{n}.abcd", report="") for n in (1, 2)]
    for number, pointer in enumerate(pointers):
        monkeypatch.setitem(rows._CHAIN, "embed", pointer.embed_spec)
        texts = [f"stir {n} with {pointer.embed_spec}" for n in range(40)]
        rows.write_embeddings(store, "a", rows.unit_vectors(40, seed=number), texts=texts)

    def promote(pointer: Pointer) -> None:
        move_pointer(store, pointer, former=read_pointer(store))

    def models(page: Page) -> set[str]:
        """Those whose captions are shown, and those to whose rows cards link."""
        cards = page.locator(".card")
        assert cards.count() == 12
        linked = cards.locator("a.shown").evaluate_all(LINKED)
        return {*linked, *(text.split()[-1] for text in cards.locator(".said").all_inner_texts())}

    def ask(page: Page, text: str) -> set[str]:
        page.get_by_label("What to look for").fill(text)
        page.wait_for_url(f"**/?text={text.replace(' ', '+')}&**")
        return models(page)

    promote(pointers[0])
    options = ServeOptions(fresh_seconds=1e-6, rate=1e6, burst=10**6)
    with serving(store.root, options) as client, visiting(browser, client) as visit:
        page = visit("/?by=words")
        page.evaluate("window.same = true")  # gone after a reload

        def promote_meanwhile(route: Route) -> None:
            answer = route.fetch()
            promote(pointers[1])
            route.fulfill(response=answer)

        page.route("**/results?*", promote_meanwhile, times=1)
        assert ask(page, "stir") == {pointers[0].embed_spec}
        assert ask(page, "stir with") == {pointers[1].embed_spec}

        ended, seen = threading.Event(), set[str]()

        def turn() -> None:
            while not ended.is_set():
                for pointer in pointers:
                    promote(pointer)
                    ended.wait(0.001)

        turning = threading.Thread(target=turn)
        turning.start()
        try:
            for number in range(15):
                shown = ask(page, f"stir {number}")
                assert len(shown) == 1, shown
                seen |= shown
        finally:
            ended.set()
            turning.join(30)
        assert seen == {pointer.embed_spec for pointer in pointers}
        assert page.evaluate("window.same")


def test_a_row_shows_its_tokens_in_time_its_labels_and_what_the_model_expects(visit: Visit, row: Hit) -> None:
    page = visit(f"/rows/{row.row_id}")
    player = page.locator("#player").element_handle()
    page.locator(".tokens rect").first.click()
    page.wait_for_function("v => v.readyState > 1 && !v.seeking && v.currentTime < 0.05", arg=player)
    page.get_by_role("list", name="Tokens of this row").get_by_role("button").first.click()
    page.wait_for_function(
        "([v, t]) => !v.seeking && Math.abs(v.currentTime - t) < 0.05", arg=[player, row.start_seconds]
    )
    assert page.get_by_role("region", name="Predictions").locator(".differs").inner_text().count("part") == 1
    page.get_by_text("What the model expects next").click()
    pictures = page.locator("#forecast .strip").nth(1).locator("img")
    pictures.first.wait_for()
    for number in range(3):
        pictures.nth(number).scroll_into_view_if_needed()
        page.wait_for_function("i => i.complete && i.naturalWidth === 128", arg=pictures.nth(number).element_handle())


def test_the_page_works_without_script(browser: Browser, client: httpx.Client, row: Hit) -> None:
    with visiting(browser, client, java_script_enabled=False) as visit:
        page = visit("/")
        page.get_by_label("What to look for").fill("stir the egg")
        page.get_by_role("button", name="Search").click()
        assert page.locator(".card").count() == 12
        page.get_by_role("link", name="Next").click()
        assert "from number 13" in page.locator(".count").inner_text()


def test_a_clip_plays_under_the_pointer_within_its_seconds(visit: Visit, row: Hit) -> None:
    page = visit(f"/?row={row.row_id}")
    card = page.locator(".card").nth(0)
    video = card.locator("video")
    start, end = (float(video.get_attribute(f"data-{name}") or 0) for name in ("start", "end"))
    card.hover()
    page.wait_for_function("v => !v.paused && v.currentTime > Number(v.dataset.start)", arg=video.element_handle())
    assert start <= video.evaluate("v => v.currentTime") <= end + 0.5
    page.mouse.move(0, 0)
    page.wait_for_function("v => v.paused", arg=video.element_handle())


def test_the_player_shows_the_frame_of_the_second(visit: Visit, client: httpx.Client, row: Hit) -> None:
    source = frames(client.get(f"/api/v1/rows/{row.row_id}/video").content)
    page = visit(f"/rows/{row.row_id}")
    player = page.locator("#player")
    seeks = page.locator("[data-seek]")
    for wanted in (row.start_seconds, 0.0):
        if wanted != row.start_seconds:
            seeks.nth(0).click()
        page.wait_for_function(
            "([v, t]) => v.readyState > 1 && !v.seeking && Math.abs(v.currentTime - t) < 0.05",
            arg=[player.element_handle(), wanted],
        )
        at, width, height, pixels = player.evaluate(PIXELS)
        image = np.array(pixels, np.uint8).reshape(height, width, 4)[:, :, :3]
        assert difference(image, shown_at(source, at)) < 4
    assert difference(shown_at(source, 0), shown_at(source, row.start_seconds)) > 4, "this proves nothing"
    page.get_by_role("button", name="Copy the line for Python").click()
    assert page.get_by_role("status").inner_text() == "Copied."


def test_what_the_browser_cannot_play_is_played_as_an_excerpt(visit: Visit, row: Hit) -> None:
    page = visit("/batches")
    page.route("**/video?*", lambda route: route.fulfill(body="no video", content_type="video/mp4"))
    page.goto(f"/rows/{row.row_id}")
    player = page.locator("#player").element_handle()
    page.wait_for_function("v => v.dataset.loaded === 'clip' && v.readyState > 1", arg=player)
    assert page.evaluate("v => v.duration", player) == pytest.approx(row.end_seconds - row.start_seconds, abs=0.2)


@pytest.mark.parametrize(
    ("codec", "suffix", "loaded"),
    [("ac3", ".mp4", "clip"), ("pcm_s16le", ".mov", "clip"), ("ac3", ".mkv", "clip"), ("aac", ".mp4", "video")],
)
def test_a_video_is_heard_whatever_its_sound(
    browser: Browser, small_root: SmallRoot, tmp_path: Path, row: Hit, codec: str, suffix: str, loaded: str
) -> None:
    """Chromium plays the pictures of H.264 with AC-3 or PCM in silence, and reports no error."""
    root = copy_with_sound(small_root, tmp_path / "demo", row, codec=codec, suffix=suffix)
    with serving(root) as client, visiting(browser, client) as visit:
        page = visit(f"/rows/{row.row_id}")
        player = page.locator("#player").element_handle()
        page.wait_for_function("([v, kind]) => v.dataset.loaded === kind && v.readyState > 1", arg=[player, loaded])
        page.evaluate("v => { v.muted = true; return v.play(); }", player)
        page.wait_for_function("v => v.webkitDecodedFrameCount > 5 && v.webkitAudioDecodedByteCount > 1000", arg=player)


def test_a_point_of_the_map_opens_its_row(visit: Visit, small_root: SmallRoot) -> None:
    page = visit("/map")
    canvas = page.locator("#map[data-drawn]")
    canvas.wait_for()
    rows = videobert.open(small_root.root).embeddings().to_table(columns=["level"])["level"].to_pylist()
    assert int(canvas.get_attribute("data-drawn") or 0) == rows.count("segment")
    canvas.focus()
    for key in ("ArrowRight", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url(f"**/rows/**?model={small_root.specs['embed']}")  # whatever is promoted meanwhile
    assert page.locator("#player").count() == 1


def test_a_table_of_an_application_is_looked_through_with_the_keyboard(visit: Visit) -> None:
    """Narrowed to what nobody has judged, its clips play in focus, and Enter opens the row."""
    page = visit("/applications")
    page.get_by_role("link", name="a", exact=True).press("Enter")
    page.wait_for_url("**/applications/best-of/a")
    assert page.locator(".card").count() == 24
    page.get_by_role("link", name="Next").press("Enter")
    page.wait_for_url("**offset=24")
    assert page.locator(".card").count() == 6 and "30 rows, from number 25" in page.locator(".count").inner_text()
    page.get_by_label("Only where").select_option("verdict")
    page.get_by_role("button", name="Show").press("Enter")
    page.wait_for_url("**column=verdict**")
    assert page.locator(".card").count() == 15 and page.locator(".verdict .badge").count() == 0
    card = page.locator(".card").first
    card.locator("a.shown").focus()
    video = card.locator("video").element_handle()
    page.wait_for_function("v => !v.paused && v.currentTime > Number(v.dataset.start)", arg=video)
    card.locator("a.shown").press("Enter")
    page.wait_for_url("**/rows/**")
    assert page.locator("#player").count() == 1


def test_the_page_of_a_watched_file_fills_while_one_looks(visit: Visit, client: httpx.Client) -> None:
    """The newest record comes first, and each once; what is said comes with it."""
    page = visit("/watch")
    page.get_by_role("link", name="new.mp4").press("Enter")
    page.wait_for_url("**/watch/*")
    rows = page.locator("#watched tr")
    assert rows.count() == 0 and page.locator("#watching").inner_text() == "It is watched."
    page.get_by_text("The file has ended.").wait_for(timeout=120_000)
    (file_id,) = (one["id"] for one in client.get("/api/v1/watch").json()["files"])
    records = client.get(f"/api/v1/watch/{file_id}").json()["records"][::-1]
    assert rows.count() == len(records) > 5
    assert rows.locator("td:nth-child(5)").all_inner_texts() == [one["text"] for one in records]
    assert rows.get_by_text("alarm").count() == sum(one["alarm"] for one in records) > 0
    page.reload()
    assert rows.count() == len(records)


def test_the_page_of_a_watched_file_asks_once_at_a_time_and_not_for_what_is_gone(
    visit: Visit, client: httpx.Client
) -> None:
    (file_id,) = (one["id"] for one in client.get("/api/v1/watch").json()["files"])
    asked = list[str]()

    def answer(route: Route) -> None:
        if "part=true" not in route.request.url:
            running = route.fetch().text().replace('data-state="ended"', 'data-state="running"')
            return route.fulfill(body=running, content_type="text/html")
        asked.append(route.request.url)
        time.sleep(2.5)  # a slow service
        return route.fulfill(status=404, body='<p class="error">it is gone</p>', content_type="text/html")

    page = visit("/watch")
    page.route(f"**/watch/{file_id}*", answer)
    page.goto(f"/watch/{file_id}")
    page.locator("#watching", has_text="it is gone").wait_for()
    page.wait_for_timeout(1500)
    assert len(asked) == 1


def paths(client: httpx.Client) -> list[str]:
    """Every page that there is, with something on it."""
    row_id = client.get("/api/v1/map").json()["points"][0]["row_id"]
    first = [f"/?row={row_id}", f"/?row={row_id}&other=current", f"/rows/{row_id}"]
    if "<" not in client.get("/api/v1/labels").text:  # where there is a model
        first.append(f"/rows/{row_id}/forecast")
    tables = ["/applications", "/applications/best-of/a", "/applications/best-of/none"]
    watched = [f"/watch/{one['id']}" for one in client.get("/api/v1/watch").json()["files"]]
    return [*first, "/map", "/batches", *tables, "/watch", *watched, "/dead-letters", "/models", "/none", "/rows/none"]


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """What axe-core says against a page: rules, and where they are broken."""
    package = find_spec("axe_playwright_python")
    assert package is not None and package.origin is not None
    page.evaluate(Path(package.origin).with_name("axe.min.js").read_text())
    found = page.evaluate("() => axe.run()")
    assert len(found["passes"]) > 10
    return [(v["id"], [n["html"][:200] for n in v["nodes"]][:3]) for v in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, client: httpx.Client, hostile: httpx.Client, scheme: str) -> None:
    for served in (client, hostile) if scheme == "light" else (client,):
        with visiting(browser, served, color_scheme=scheme) as visit:
            for path in paths(served):
                assert violations(visit(path)) == [], path


def test_nothing_runs_off_a_narrow_screen(browser: Browser, client: httpx.Client, hostile: httpx.Client) -> None:
    for served in (client, hostile):
        with visiting(browser, served, viewport={"width": 320, "height": 640}) as visit:
            for path in paths(served):
                width = visit(path).evaluate("document.scrollingElement.scrollWidth")
                assert width <= 320, path


def test_a_report_is_as_readable_as_the_page(browser: Browser) -> None:
    """It is a file, with tables of seven columns."""
    page = browser.new_page(viewport={"width": 320, "height": 640})
    page.set_content(render_report(test_report._metrics(), test_report.CURVE, test_report.FACTS).decode())
    assert page.get_by_role("heading", level=1).inner_text().startswith("VideoBERT pretrain-onion")
    assert violations(page) == []
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 320
    page.close()


def test_hostile_texts_are_shown_and_never_run(browser: Browser, hostile: httpx.Client) -> None:
    shown = ""
    rows = [point["row_id"] for point in hostile.get("/api/v1/map").json()["points"]]
    assert len(rows) == len(HOSTILE) + 1
    with visiting(browser, hostile) as visit:
        refused: list[str] = []
        visit("/").on("console", lambda message: refused.append(message.text))
        for path in [*paths(hostile), *(f"/rows/{row_id}" for row_id in rows[:3])]:
            page = visit(path)
            page.wait_for_load_state("networkidle")
            shown += page.locator("body").inner_text()
            assert page.evaluate("window.hurt") is None, path
        for text in HOSTILE[:5]:
            page = visit("/")
            page.get_by_label("What to look for").fill(text[:500])
            page.get_by_role("alert").wait_for()
            assert page.evaluate("window.hurt") is None
    assert all(text in shown for text in HOSTILE[:6])
    assert not [text for text in refused if "Content Security Policy" in text], "markup of a caption reached the page"


def test_arabic_is_written_from_right_to_left(browser: Browser, hostile: httpx.Client) -> None:
    with visiting(browser, hostile) as visit:
        page = visit(f"/?row=v0:0&holding={ARABIC[:5]}")
        said = page.locator(".said", has_text=ARABIC)
        assert said.evaluate("p => getComputedStyle(p).direction") == "rtl"
