"""Write the kitchen's videos, captions and truth below any URL; what is there already is not made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context

from videobert.demo.film import encode, format_of, sentence, webvtt
from videobert.demo.grammar import KitchenConfig, build_kitchen
from videobert.demo.labels import label_tables
from videobert.demo.moods import mood_table
from videobert.demo.scene import SceneConfig
from videobert.demo.speech import need_espeak
from videobert.errors import InputError
from videobert.runtime.storage import Store, sha256

__all__ = ["BATCHES", "INDEX", "LABELS", "TRUTH", "KitchenSummary", "TruthRow", "read_truth", "write_kitchen"]

BATCHES = ("2026-01-01", "2026-01-02", "2026-01-03")
INDEX = "truth/_index.json"
TRUTH = "truth/truth.jsonl"
LABELS = "truth/labels/{task}.jsonl"
"""For fine-tuned tasks, of the videos that were asked for last."""
_DRAWING = 1
"""Raise when the pixels of the same config change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthRow:
    """One step of one video: what is really seen and said."""

    file: str
    """Path below `videos/`, such as `2026-01-01/kitchen-00000.mp4`."""
    video_id: str
    """sha256 of the file."""
    batch: str
    step: int
    start_seconds: float
    end_seconds: float
    verb: str
    noun: str
    caption: str
    """The cue as written in the caption file."""
    narration: str
    """`current`, `neighbour` or `chit-chat`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KitchenSummary:
    """What a call of `write_kitchen` did."""

    videos: int
    """Videos present now, of those asked for."""
    written: int
    """Videos that this call made; 0 when all were there already."""
    steps: int
    seconds: float
    """Length of all videos together."""
    truth: str
    """URL of the truth file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Film:
    """One video to make; picklable, for the worker processes."""

    key: str
    config: KitchenConfig
    scene: SceneConfig
    speech: bool

    @property
    def file(self) -> str:
        return f"{self.key}{format_of(self.config, self.key).suffix}"

    def recipe_digest(self) -> str:
        """Changes when the bytes of the video would."""
        scene = asdict(self.scene)
        if not self.scene.moods:  # corpora from before there were any are the same
            del scene["moods"]
        parts = [_DRAWING, self.key, self.config.digest(), scene, self.speech]
        return sha256(json.dumps(parts, sort_keys=True).encode())[:16]

    def make(self, out_url: str) -> dict[str, object]:
        """Render, store video and captions, and return the line of the index."""
        recipe = build_kitchen(self.config).recipe(self.key)
        film = format_of(self.config, self.key)
        data = encode(recipe, config=self.config, scene=self.scene, film=film, speech=self.speech)
        store = Store(out_url)
        # Captions first: whoever sees the video must find its captions too.
        store.write(f"videos/{self.key}.vtt", webvtt(recipe).encode())
        store.write(f"videos/{self.file}", data)
        return {"sha256": sha256(data), "size": len(data), "recipe": self.recipe_digest()}

    def truth(self, video_id: str) -> Iterator[TruthRow]:
        for number, step in enumerate(build_kitchen(self.config).recipe(self.key).steps):
            yield TruthRow(
                file=self.file,
                video_id=video_id,
                batch=self.key.split("/")[0],
                step=number,
                start_seconds=step.start_seconds,
                end_seconds=step.end_seconds,
                verb=step.verb,
                noun=step.noun,
                caption=sentence(step.caption),
                narration=step.narration,
            )


def write_kitchen(
    config: KitchenConfig,
    *,
    out_url: str,
    batches: Sequence[str] = BATCHES,
    videos_per_batch: int,
    processes: int = 1,
    scene: SceneConfig | None = None,
    speech: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> KitchenSummary:
    """Make `videos/<batch>/kitchen-<number>.{mp4,webm}` with `.vtt`, and `truth/`, below `out_url` (any fsspec URL).

    Video number n of a batch is the same whatever else is asked for. A video is skipped when the index knows it,
    of this config, and an object of that size is there. Truth rows of videos that were not asked for are kept.
    Raises InputError for impossible counts, or when `speech` is wanted and espeak-ng is missing.
    """
    if videos_per_batch < 1 or processes < 1 or not batches:
        raise InputError(
            f"videos_per_batch={videos_per_batch}, processes={processes}, {len(batches)} batches: "
            "use at least one of each"
        )
    if speech:
        need_espeak()
    store = Store(out_url)
    films = [
        _Film(key=f"{batch}/kitchen-{n:05d}", config=config, scene=scene or SceneConfig(), speech=speech)
        for batch in batches
        for n in range(videos_per_batch)
    ]
    index = json.loads(store.read_or_none(INDEX) or b"{}")
    sizes = store.list("videos")
    todo = [film for film in films if not _is_written(film, index, sizes)]
    progress(f"kitchen: {len(films) - len(todo)} of {len(films)} videos are there already, {len(todo)} to render")
    if todo:
        for done, (film, entry) in enumerate(_made(todo, store.root, processes), start=1):
            index[film.file] = entry
            if done % 10 == 0 or done == len(todo):
                progress(f"kitchen: rendered {done} of {len(todo)}")
    _write_truth(store, films, index)
    recipes = [build_kitchen(config).recipe(film.key) for film in films]
    return KitchenSummary(
        videos=len(films),
        written=len(todo),
        steps=sum(len(recipe.steps) for recipe in recipes),
        seconds=round(sum(recipe.seconds for recipe in recipes), 3),
        truth=store.url(TRUTH),
    )


def read_truth(out_url: str) -> list[TruthRow]:
    """Every step of the corpus, by file and time. Raises InputError when there is no corpus."""
    data = Store(out_url).read_or_none(TRUTH)
    if data is None:
        raise InputError(f"{out_url!r} holds no {TRUTH}; write a kitchen there first")
    return [TruthRow(**json.loads(line)) for line in data.decode().splitlines()]


def _is_written(film: _Film, index: dict[str, dict[str, object]], sizes: dict[str, int]) -> bool:
    known = index.get(film.file)
    return (
        known is not None
        and known["recipe"] == film.recipe_digest()
        and sizes.get(f"videos/{film.file}") == known["size"]
        and f"videos/{film.key}.vtt" in sizes
    )


def _made(films: Sequence[_Film], out_url: str, processes: int) -> Iterator[tuple[_Film, dict[str, object]]]:
    """Render `films`, at most `processes` at a time, in any order; one alone needs no other process."""
    if processes == 1:
        yield from ((film, film.make(out_url)) for film in films)
        return
    with ProcessPoolExecutor(min(processes, len(films)), mp_context=get_context("spawn")) as pool:
        running = {pool.submit(film.make, out_url): film for film in films}
        for future in as_completed(running):
            yield running[future], future.result()


def _write_truth(store: Store, films: Sequence[_Film], index: dict[str, dict[str, object]]) -> None:
    """Truth and index, the index last; untouched when nothing changed."""
    asked = {film.key for film in films}
    old = store.read_or_none(TRUTH) or b""
    kept = [row for row in map(json.loads, old.decode().splitlines()) if row["file"].rsplit(".", 1)[0] not in asked]
    fresh = [asdict(row) for film in films for row in film.truth(str(index[film.file]["sha256"]))]
    rows = sorted(kept + fresh, key=lambda row: (row["file"], row["step"]))
    truth = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows).encode()
    recipes = {str(index[film.file]["sha256"]): build_kitchen(film.config).recipe(film.key) for film in films}
    tables = [(LABELS.format(task=task), data) for task, data in label_tables(recipes).items()]
    if all(film.scene.moods for film in films):
        tables.append((LABELS.format(task="mood"), mood_table(recipes)))
    for path, data in (*tables, (TRUTH, truth), (INDEX, json.dumps(index, sort_keys=True, indent=1).encode())):
        if store.read_or_none(path) != data:
            store.write(path, data)
