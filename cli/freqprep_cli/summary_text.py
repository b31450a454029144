"""Text output of ``convert``, ``pack``, their dry runs and ``info``: the numbers of a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from freqprep.convert.estimate import Estimate
from freqprep.pack.estimate import PackEstimate
from freqprep.spectrum.channels import CHANNELS, NAMES, described
from freqprep.store.class_counts import ClassCounts, ObjectCounts
from freqprep.store.class_mixing import ClassMixing
from freqprep.store.summary import SplitSummary
from freqprep.text.quantities import counts, duration, plural, tally
from freqprep.text.quantities import size as size_text
from freqprep.text.terminal import quoted, shortened, table

_ALL_SHOWN = 6
_LARGEST, _SMALLEST = 5, 3
_NAME_ROOM, _KEY_ROOM, _SPLIT_ROOM = 24, 32, 30

Rows = list[tuple[str, str]]


def describe(summary: SplitSummary, mixing: Mapping[str, ClassMixing | None] | None = None) -> str:
    """Return the summary of a split as text, with the classes in groups of rows if given."""
    valid, rejected = f"{summary.valid:,} valid", f"{summary.rejected:,} rejected"
    source = size_text(summary.source_bytes_per_image)
    shards = f"{plural(summary.shards, 'shard')}, {size_text(summary.stored_bytes)}"
    rows = [
        ("images", f"{summary.images:,} ({valid}, {rejected})"),
        ("rejected", counts(summary.rejected_by_reason)),
        *_object_rows(summary.objects),
        *_class_rows(summary.class_counts),
        *_mixing_rows(mixing or {}),
        *_geometry_rows(summary),
        ("source", f"{source} an image ({size_text(summary.source_bytes)})"),
        *_stored_rows(summary),
        ("luma PSNR", _psnr(summary)),
        ("saturated", _saturated(summary)),
        ("files", f"{summary.files:,} ({shards})"),
        ("content id", summary.content_id),
        *([] if summary.packed_from is None else [("packed from", summary.packed_from)]),
    ]
    name, source_name = (
        shortened(text, _SPLIT_ROOM) for text in (summary.split, summary.source_split)
    )
    return f"{name} ({summary.source_kind}, {source_name})\n{table(rows)}"


def describe_estimate(estimate: Estimate, workers: int) -> str:
    """Return the estimate of a dry run as text."""
    jobs = plural(min(workers, estimate.shards), "job")
    store, source = size_text(estimate.stored_bytes), size_text(estimate.source_bytes)
    ratio = f"{estimate.stored_bytes / max(estimate.source_bytes, 1):.2f}x the source's {source}"
    shrunk = _shrunk(estimate.shrunk_in_sample, estimate.sampled, estimate.geometry)
    rows = [
        ("images", f"{estimate.images:,}"),
        ("ignored", tally(estimate.ignored)),
        *_object_rows(estimate.objects),
        *_class_rows(estimate.class_counts),
        ("store", f"{store}, {ratio}{shrunk and f' ({shrunk})'}"),
        ("files", f"{estimate.files:,} ({plural(estimate.shards, 'shard')})"),
        ("memory", f"at most {size_text(estimate.memory_bytes)} for {jobs}"),
        ("time", f"about {duration(estimate.minutes)}"),
        (
            "sample",
            f"{plural(estimate.sampled, 'image')}, rejected: {counts(estimate.rejected_in_sample)}",
        ),
    ]
    return table(rows)


def describe_packing(estimate: PackEstimate, workers: int) -> str:
    """Return the estimate of a packing's dry run as text."""
    before, after = size_text(estimate.bytes_before), size_text(estimate.stored_bytes)
    ratio = f"{estimate.stored_bytes / max(estimate.bytes_before, 1):.2f}x the {before} before"
    each = f"{size_text(estimate.stored_bytes_per_image)} an image"
    jobs = plural(min(workers, estimate.shards), "job")
    rows = [
        ("images", f"{estimate.images:,}"),
        ("channels", channels_text(estimate.channels)),
        ("zstd level", str(estimate.level)),
        ("store", f"{each}, {after}, {ratio}"),
        ("files", f"{estimate.files:,} ({plural(estimate.shards, 'shard')})"),
        ("time", f"about {duration(estimate.minutes)} with {jobs}"),
        ("sample", f"{plural(estimate.sampled_shards, 'shard')}"),
    ]
    return table(rows)


def _object_rows(objects: ObjectCounts | None) -> Rows:
    if objects is None:
        return []
    kinds = [f"{objects.total:,} in {plural(objects.images, 'image')}"]
    if objects.masks is not None:
        kinds.append(f"{objects.masks:,} with a mask")
    kinds.append(plural(objects.crowds, "crowd"))
    without = plural(objects.images_without, "image") + " without objects"
    if objects.in_rejected:
        without += f"; {objects.in_rejected:,} more of rejected images"
    return [("objects", ", ".join(kinds)), ("", without)]


def _class_rows(classes: ClassCounts) -> Rows:
    """Number of classes, and the number of images or objects in the largest and smallest."""
    each = classes.images if classes.objects is None else classes.objects
    noun = "image" if classes.objects is None else "object"
    unlabelled: Rows = []
    if classes.unlabelled:
        unlabelled = [("unlabelled", plural(classes.unlabelled, "image"))]
    number = len(each)
    if not number:
        return [("classes", "0"), *unlabelled]
    if not any(each):
        return [("classes", f"{number:,}, none with {noun}s"), *unlabelled]
    if number > 1 and min(each) == max(each):
        return [("classes", f"{number:,}, balanced: {plural(each[0], noun)} each"), *unlabelled]
    names = _unique(classes.ids, classes.names)
    order = sorted(range(number), key=lambda label: -each[label])
    filled = [label for label in order if each[label]]

    def listed(labels: Iterable[int]) -> str:
        return ", ".join(f"{shortened(names[k], _NAME_ROOM)} {each[k]:,}" for k in labels)

    if number <= _ALL_SHOWN:
        return [("classes", f"{number}, by {noun}s: {listed(order)}"), *unlabelled]
    empty = f"{number - len(filled):,} without {noun}s, the others " if len(filled) < number else ""
    least, most = each[filled[-1]], each[filled[0]]
    if least == most:
        return [("classes", f"{number:,}, {empty}with {plural(most, noun)} each"), *unlabelled]
    rows = [("classes", f"{number:,}, {empty}with {least:,} to {most:,} {noun}s each")]
    if len(filled) <= _LARGEST + _SMALLEST:
        return [*rows, ("", listed(filled)), *unlabelled]
    largest, smallest = filled[:_LARGEST], filled[-_SMALLEST:]
    return [*rows, ("largest", listed(largest)), ("smallest", listed(smallest)), *unlabelled]


def _mixing_rows(mixing: Mapping[str, ClassMixing | None]) -> Rows:
    """Numbers of classes in groups of rows, against those of a random order."""
    each = [
        f"{found.classes:.1f} classes in a {name} of {found.rows},"
        f" {found.classes / found.random_classes:.1%} of a random order's"
        for name, found in mixing.items()
        if found is not None
    ]
    return [("" if number else "mixing", text) for number, text in enumerate(each)]


def _geometry_rows(summary: SplitSummary) -> Rows:
    geometry = summary.geometry
    grid = f"grid {summary.grid[0]}x{summary.grid[1]}"
    rows = [
        ("geometry", f"{geometry['kind']} {geometry['size']}, {grid}"),
        ("precision", f"{summary.precision}, {_steps(summary)}"),
        ("zstd level", str(summary.level)),
        ("channels", channels_text(summary.channels)),
    ]
    if geometry["kind"] != "fit" or not summary.capped:
        return rows
    larger = f"{summary.capped:,} of {plural(summary.valid, 'image')}"
    kept = f"{larger}: {summary.pixel_share:.0%} of the pixels kept"
    remedy = "; try a larger --size" if summary.capped * 2 > summary.valid else ""
    return [*rows, ("shrunk", kept + remedy)]


def channels_text(names: Sequence[str]) -> str:
    """Return the number and the name of the channels stored: ``48 of 192: paper-48``."""
    if len(names) == CHANNELS:
        return f"all {CHANNELS}"
    return f"{len(names)} of {CHANNELS}: {described([NAMES.index(name) for name in names])}"


def _steps(summary: SplitSummary) -> str:
    least, most = (f"{step:g}" for step in summary.steps)
    return f"step {most}" if least == most else f"steps {least} to {most}"


def _stored_rows(summary: SplitSummary) -> Rows:
    """Bytes of the channels stored, and of the published 24 if they are."""
    number = len(summary.channels)
    name = f"all {CHANNELS}" if number == CHANNELS else f"{number} stored"
    rows = [(name, _against_source(summary, summary.stored_bytes_per_image))]
    if summary.published_24_bytes_per_image is None:
        return rows
    return [*rows, ("published 24", _against_source(summary, summary.published_24_bytes_per_image))]


def _against_source(summary: SplitSummary, stored: float) -> str:
    ratio = f"{stored / (summary.source_bytes_per_image or 1):.2f}x the source"
    shrunk = _shrunk(summary.capped, summary.valid, summary.geometry)
    return f"{size_text(stored)} an image, {ratio}" + (shrunk and f" ({shrunk})")


def _shrunk(count: int, images: int, geometry: Mapping[str, Any]) -> str:
    """Number of images larger than what is stored, which makes the store smaller."""
    how = "shrunk" if geometry["kind"] == "fit" else "cut"
    return f"{count:,} of {images:,} {how} to {geometry['size']}" if count else ""


def _saturated(summary: SplitSummary) -> str:
    share = f" ({summary.saturated_share:.1e} of all codes)" if summary.saturated else " codes"
    return f"{summary.saturated:,}{share}"


def _psnr(summary: SplitSummary) -> str:
    if summary.psnr_luma_pooled is None or summary.psnr_luma_worst is None:
        return "no error" if summary.valid else "no images"
    key = shortened(quoted(summary.psnr_luma_worst_key or ""), _KEY_ROOM)
    some = "" if len(summary.channels) == CHANNELS else f"; with all {CHANNELS} channels"
    worst = f"worst {summary.psnr_luma_worst:.1f} dB ({key})"
    return f"{summary.psnr_luma_pooled:.1f} dB, {worst}{some}"


def _unique(ids: Sequence[str | int], names: Sequence[str]) -> list[str]:
    """Names of classes, with the id if several share a name, as ImageNet's two cranes do."""
    times = Counter(names)
    return [
        name if times[name] == 1 else f"{name} ({class_id})"
        for class_id, name in zip(ids, names, strict=True)
    ]
