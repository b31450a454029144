"""Compare scores: a trained network on images reconstructed from the chosen channels.

The network is an ImageNet MobileNetV2 that never saw coefficients; the images are 200 of
ImageNet, in two geometries: ``fit`` 512 (native size) and ``crop`` (short side enlarged to 512,
central 448: the published one). All selections are compared with the published square-24, paired
by image.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.importance.analysis import DEFAULT_SCORE, Analysis, analyse
from freqprep.importance.choice import candidate_selections, rules
from freqprep.importance.network_evaluation import NetworkSample, forward_selection
from freqprep.importance.proposal import fill
from freqprep.importance.ranking import SCORES
from freqprep.importance.shard_counts import GROUPS
from freqprep.spectrum.channels import PUBLISHED, Selection, published, triangle
from freqprep.store.reader import open_store
from tests.benchmarks.table import show
from tests.benchmarks.verdicts import Verdicts

_GEOMETRIES: dict[str, dict[str, object]] = {
    "fit": {"size": 512},
    "crop": {"geometry": "crop", "resize": 512, "size": 448},
}
_WEIGHTS = "weights/mobilenet_v2_imagenet_folded.npz"
_REFERENCE = published("square-24").indices
_TOP = len(_REFERENCE)
_HALVES = 20
_COUNTS = (6, 12, 24, 32, 48, 64)
_CURVE_SCORES = (DEFAULT_SCORE, "gain", "entropy")


def run(data: Path, folder: Path) -> dict[str, object]:
    figures: dict[str, object] = {}
    for name, options in _GEOMETRIES.items():
        store = folder / f"{name}.zarr"
        convert(Request("imagenet", data / "imagenet", store, **options))
        split = open_store(store)["train"]
        analysis = analyse(split)
        verdicts = Verdicts(split, data / _WEIGHTS)
        print(f"\n{name}: square-24 takes {analysis.bytes_of(_REFERENCE) / 1e3:.2f} KB an image")
        figures[name] = {
            "proposals": proposals(analysis, verdicts),
            "halves": halves(analysis, verdicts),
            "curve": curve(analysis, verdicts),
            "fewest": fewest_bytes(analysis, verdicts),
            "forward": forward(analysis, verdicts),
        }
    return figures


def proposals(analysis: Analysis, verdicts: Verdicts) -> list[Sequence[object]]:
    """Compare the proposals of each score and rule within the count and bytes of square-24."""
    found = candidate_selections(analysis, _TOP, analysis.bytes_of(_REFERENCE))
    free = [rule for rule in rules(_TOP) if rule.name not in {one.name for one in found}]
    listed = [*found, *free]
    verdicts.ask([one.indices for one in listed])
    rows = [(one.name, *_against_reference(analysis, verdicts, one.indices)) for one in listed]
    rows.sort(key=lambda row: row[4])
    print("\nwithin square-24's count and bytes (rules may cost more), all 200 images")
    show(_HEADS, rows)
    return rows


_HEADS = ("selection", "channels", "bytes", "PSNR dB", "loss - square-24", "SE", "top-1 change")


def _against_reference(
    analysis: Analysis, verdicts: Verdicts, indices: Sequence[int]
) -> tuple[int, float, float, float, float, float]:
    change = verdicts.loss(indices) - verdicts.loss(_REFERENCE)
    right = verdicts.correct(indices).mean() - verdicts.correct(_REFERENCE).mean()
    return (
        len(indices),
        analysis.bytes_of(indices),
        analysis.psnr(indices),
        float(change.mean()),
        float(change.std(ddof=1) / np.sqrt(len(change))),
        float(right),
    )


def halves(analysis: Analysis, verdicts: Verdicts) -> list[Sequence[object]]:
    """Choose on a random half of the images, compare on the other; 20 random halves.

    A half is four of the eight groups that the pass counts separately; rows are permuted, so
    groups are random. ``network`` takes the candidate with the least loss on the first half.
    """
    limit = analysis.bytes_of(_REFERENCE)
    every = range(GROUPS)
    splits = np.random.RandomState(0).permutation(list(combinations(every, GROUPS // 2)))[:_HALVES]
    names = [name for name in analysis.rankings if name in SCORES]
    others = [
        one.indices
        for one in candidate_selections(analysis, _TOP, limit)
        if one.name not in analysis.rankings
    ]
    chosen: dict[str, list[tuple[int, ...]]] = {name: [] for name in names}
    for half in splits.tolist():
        sums = analysis.sums.part(half)
        for name in names:
            order = SCORES[name].ranking(sums, analysis.steps).order
            chosen[name].append(tuple(fill(order, _TOP, analysis.channel_bytes, limit)))
    verdicts.ask([indices for each in chosen.values() for indices in each])
    images = analysis.images
    inside = [np.isin(_group_of(images), half) for half in splits.tolist()]
    chosen["network"] = []
    for number, mine in enumerate(inside):
        candidates = [*(chosen[name][number] for name in names), *others]
        losses = [verdicts.loss(indices)[mine].mean() for indices in candidates]
        chosen["network"].append(candidates[int(np.argmin(losses))])
    rows = [(name, *_held_out(verdicts, each, inside)) for name, each in chosen.items()]
    rows.sort(key=lambda row: row[1])
    print("\nchosen on one half of the images, compared with square-24 on the other; 20 halves")
    show(
        ("score", "loss", "SD of halves", "SE", "lower in", "top-1 change", "bytes"),
        [
            (*row[:6], float(np.mean([analysis.bytes_of(i) for i in chosen[row[0]]])))
            for row in rows
        ],
    )
    return rows


def _group_of(images: int) -> np.ndarray:
    edges = np.arange(GROUPS + 1) * images // GROUPS
    return np.repeat(np.arange(GROUPS), np.diff(edges))


def _held_out(
    verdicts: Verdicts, chosen: Sequence[tuple[int, ...]], inside: Sequence[np.ndarray]
) -> tuple[float, float, float, str, float]:
    """Mean and deviation over halves of the paired change; SE is over the images of one half."""
    means, errors, rights = [], [], []
    for indices, mine in zip(chosen, inside, strict=True):
        change = (verdicts.loss(indices) - verdicts.loss(_REFERENCE))[~mine]
        right = verdicts.correct(indices)[~mine].mean() - verdicts.correct(_REFERENCE)[~mine].mean()
        means.append(change.mean())
        errors.append(change.std(ddof=1) / np.sqrt(len(change)))
        rights.append(right)
    lower = f"{sum(mean < 0 for mean in means)} of {len(means)}"
    spread = float(np.std(means, ddof=1))
    # All 200 images are held out in some half: their mean has a smaller SE than one half's.
    error = float(np.mean(errors) / np.sqrt(2))
    return float(np.mean(means)), spread, error, lower, float(np.mean(rights))


def curve(analysis: Analysis, verdicts: Verdicts) -> list[Sequence[object]]:
    """Loss and top-1 against the number of channels: scores, rules, published lists."""
    selections = [
        Selection(analysis.ranking(name).order[:count], f"{name}-{count}")
        for name in _CURVE_SCORES
        for count in _COUNTS
    ]
    selections += map(triangle, _COUNTS)
    selections += [*map(published, PUBLISHED), Selection(tuple(range(192)), "all")]
    verdicts.ask([one.indices for one in selections])
    rows = [
        (
            one.name,
            len(one),
            analysis.bytes_of(one.indices),
            analysis.psnr(one.indices),
            float(verdicts.loss(one.indices).mean()),
            float(verdicts.correct(one.indices).mean()),
        )
        for one in selections
    ]
    rows.sort(key=lambda row: (row[1], row[4]))
    print("\nby number of channels")
    show(("selection", "channels", "bytes", "PSNR dB", "loss", "top-1"), rows)
    return rows


def fewest_bytes(analysis: Analysis, verdicts: Verdicts) -> list[Sequence[object]]:
    """Fewest top channels of each ranking whose loss is at most that of square-24."""
    rows = []
    reference = analysis.bytes_of(_REFERENCE)
    for name in (DEFAULT_SCORE, "gain", "energy", "entropy", "zero_fraction"):
        order = analysis.ranking(name).order
        for count in range(_TOP - 10, _TOP + 9):
            found = _against_reference(analysis, verdicts, order[:count])
            if found[3] <= 0:
                rows.append((f"{name}-{count}", *found, found[1] / reference))
                break
    print("\nthe shortest top of a ranking that equals square-24")
    show((*_HEADS, "bytes / square-24's"), rows)
    return rows


def forward(analysis: Analysis, verdicts: Verdicts) -> list[Sequence[object]]:
    """Forward selection by the network on one half of the images, evaluated on the other."""
    rows: list[Sequence[object]] = []
    limit = analysis.bytes_of(_REFERENCE)
    sample = verdicts.judge.sample
    first = np.isin(_group_of(analysis.images), np.random.RandomState(0).permutation(GROUPS)[:4])
    for number, mine in enumerate((first, ~first)):
        half = NetworkSample(sample.rows[mine], sample.targets[mine])
        judge = verdicts.judge
        found = forward_selection(
            judge.split,
            judge.network,
            half,
            _TOP,
            channel_bytes=analysis.channel_bytes,
            byte_limit=limit,
        )
        rows += _forward_rows(analysis, verdicts, found.order, mine, number)
    print("\nforward selection by the network on one half, judged on the other")
    show(("half", "channels", "bytes", "bytes / square-24's", "loss", "SE", "top-1 change"), rows)
    return rows


def _forward_rows(
    analysis: Analysis, verdicts: Verdicts, order: Sequence[int], mine: np.ndarray, half: int
) -> list[Sequence[object]]:
    """Rows for its end, and for the first count that equals square-24 on its own half."""
    reference = verdicts.loss(_REFERENCE)

    def equal(count: int) -> bool:
        return bool(verdicts.loss(order[:count])[mine].mean() <= reference[mine].mean())

    first = next((n for n in range(_TOP // 2, len(order) + 1) if equal(n)), len(order))
    rows = []
    for count in sorted({first, len(order)}):
        change = (verdicts.loss(order[:count]) - reference)[~mine]
        right = verdicts.correct(order[:count]) * 1.0 - verdicts.correct(_REFERENCE)
        taken = analysis.bytes_of(order[:count])
        rows.append(
            (
                half,
                count,
                taken,
                taken / analysis.bytes_of(_REFERENCE),
                float(change.mean()),
                float(change.std(ddof=1) / np.sqrt(len(change))),
                float(right[~mine].mean()),
            )
        )
    return rows
