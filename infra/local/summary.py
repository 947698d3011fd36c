"""The table at the end of the demo, read from the manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from videobert.admin.evaluations import find_reports, read_metrics
from videobert.query.embeddings import embedding_manifests
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.pointer import read_pointer
from videobert.runtime.storage import Store
from videobert.stages import stage_names

__all__ = ["print_summary"]


def print_summary(store: Store, seconds: Mapping[str, float], computed: Sequence[bool]) -> None:
    """Videos, clips, tokens, segments and dead letters per batch; seconds per stage; the figures of the model."""
    pointer = read_pointer(store)
    assert pointer is not None  # the training run ended in a promotion
    rows = [_row(store, manifest) for manifest in embedding_manifests(store, pointer.embed_spec)]
    rows.append({"batch": "all", **{name: sum(int(row[name]) for row in rows) for name in list(rows[0])[1:]}})
    print()
    print("".join(f"{name:>14}" for name in rows[0]))
    for row in rows:
        print("".join(f"{value:>14,}" if isinstance(value, int) else f"{value:>14}" for value in row.values()))
    print()
    print("seconds per stage, start to end, all batches: ", end="")
    print(", ".join(f"{name} {seconds[name]:.0f}" for name in (*stage_names(), "promote") if name in seconds))
    fresh, kept = sum(computed), len(computed) - sum(computed)
    print(f"computed {fresh} of {len(computed)} results; {kept} were already committed")
    for report in find_reports(store, pointer.model_spec)[:1]:
        _print_metrics(store, report)
        print(f"report: {store.url(f'reports/{report.spec}/report.html')}")
    print(f"embeddings: {store.url(f'embeddings/model={pointer.embed_spec}')}")


def _row(store: Store, embedded: Manifest) -> dict[str, str | int]:
    """One batch, followed back through its manifests."""
    manifests = {"embed": embedded}
    current = embedded
    for name in ("tokens", "features", "shard", "ingest"):
        spec = next(source.spec for source in current.sources if source.stage == name)
        found = load_manifest(store, name, spec, embedded.batch)
        assert found is not None  # a commit's sources are committed
        manifests[name] = current = found
    return {
        "batch": embedded.batch,
        "videos": manifests["embed"].counts.get("videos", 0),
        "clips": manifests["features"].counts.get("clips", 0),
        "visual tokens": manifests["tokens"].counts.get("clips", 0),
        "word tokens": manifests["tokens"].counts.get("words", 0),
        "segments": manifests["embed"].counts.get("segments", 0),
        "dead letters": sum(manifest.counts["rejects"] for manifest in manifests.values()),
    }


def _print_metrics(store: Store, report: Manifest) -> None:
    metrics = read_metrics(store, report)
    for kind, words in sorted(metrics.get("zero_shot", {}).items()):
        if kind in ("verb", "noun"):
            print(
                f"zero-shot {kind} top-1 {words['top1']:.3f}, language prior {words['top1_prior']:.3f}, "
                f"{words['top1_gain_in_standard_errors']:.1f} standard errors above it"
            )
    retrieval = metrics.get("retrieval")
    if retrieval:
        print(
            f"text-to-video R@10 {retrieval['recall_at_10']:.3f} among {retrieval['candidates']:.0f}, "
            f"chance {retrieval['recall_at_10_chance']:.3f}"
        )
