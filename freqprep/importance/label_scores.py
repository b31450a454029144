"""Information of each channel about the label.

Labelled images: how a channel's activity in an image (`Sums`) depends on its class. Detection data:
how the magnitude of a coefficient depends on whether an object's box touches its block. Shares and
bits are corrected for chance; small negative results of the correction become 0.
"""

from __future__ import annotations

import numpy as np

from freqprep.errors import UsageError
from freqprep.importance.scores import shannon
from freqprep.importance.sums import ACTIVITY_UNIT, Sums, codes_of

_TOO_FEW = "a label score needs two classes, and two images of one of them"


def check_labels(sums: Sums) -> None:
    """Refuse sums in which the label does not vary.

    Raises
    ------
    UsageError
        There are no labels, one class, or one image per class; or boxes touch no block, or all.
    """
    if has_objects(sums):
        inside, every = sums.object_histogram[:, 0].sum(), sums.blocks.sum()
        if inside in (0, every):
            which = "no block" if inside == 0 else "every block"
            raise UsageError(f"the objects' boxes touch {which}, so there is nothing to compare")
        return
    images = sums.class_images.sum(axis=0)
    if not images.any():
        raise UsageError("the images have neither labels nor boxes", _TOO_FEW)
    classes = int((images > 0).sum())
    if classes == 1:
        raise UsageError(f"all labelled images ({images.sum()}) are of one class", _TOO_FEW)
    if images.max() == 1:
        raise UsageError(f"each of the {classes} classes has a single image", _TOO_FEW)


def has_objects(sums: Sums) -> bool:
    """Return whether boxes were counted."""
    return bool(sums.object_histogram.shape[-1])


def label_share(sums: Sums, steps: np.ndarray) -> np.ndarray:
    """Compute the share of a channel's variance between classes, corrected (Kelley 1935).

    ``(SSB - (K - 1) MSW) / SST`` with ``MSW = (SST - SSB) / (n - K)`` for the activities of ``n``
    images in ``K`` classes; with boxes, for ``log2(1 + coefficient**2)`` of the blocks that a box
    touches and of the others.

    Parameters
    ----------
    sums : Sums
    steps : ndarray of float64, shape (192,)

    Returns
    -------
    ndarray of float64, shape (192,)
        Shares, 0..1.

    Raises
    ------
    UsageError
        See `check_labels`.
    """
    check_labels(sums)
    if has_objects(sums):
        return _share(*_object_activity(sums, steps))
    counts = sums.class_images.sum(axis=0)
    totals = sums.class_activity.sum(axis=0) * ACTIVITY_UNIT
    squares = sums.class_squares.sum(axis=0) * ACTIVITY_UNIT**2
    return _share(counts, totals, squares)


def label_information(sums: Sums, _: np.ndarray) -> np.ndarray:
    """Compute the mutual information of a channel and the label, in bits, corrected.

    The variables are an image's class and the level of its activity (`Sums`); with boxes, whether a
    box touches a block and the magnitude of its code. ``H(class) + H(level) - H(class, level)``,
    each entropy from shares plus ``(cells that occur - 1) / (2 n ln 2)`` (Miller 1955, Madow).

    Raises
    ------
    UsageError
        See `check_labels`.
    """
    check_labels(sums)
    if has_objects(sums):
        inside = _magnitudes(sums.object_histogram.sum(axis=0))
        outside = _magnitudes(sums.histogram.sum(axis=0)) - inside
        joint = np.stack([inside, outside])
    else:
        joint = sums.class_levels.sum(axis=0)
    joint = joint.transpose(1, 0, 2)  # channel, class, level
    apart = _entropy(joint.sum(axis=2)) + _entropy(joint.sum(axis=1))
    bits: np.ndarray = np.maximum(apart - _entropy(joint.reshape(len(joint), -1)), 0)
    return bits


def _share(counts: np.ndarray, totals: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Corrected share from counts (K,), sums (K, 192) and the sum of all squares (192,)."""
    counts, totals = counts[counts > 0], totals[counts > 0]
    images, classes = counts.sum(), len(counts)
    centre = totals.sum(axis=0) ** 2 / images
    between = (totals**2 / counts[:, None]).sum(axis=0) - centre
    total = squares - centre
    within = (total - between) / (images - classes)
    # Sums of squares of a constant are 0 but for rounding.
    varies = total > 1e-9 * np.maximum(squares, 1e-300)
    share = (between - (classes - 1) * within) / np.where(varies, total, 1)
    return np.clip(np.where(varies, share, 0), 0, 1)


def _object_activity(sums: Sums, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    every, inside = sums.histogram.sum(axis=0), sums.object_histogram.sum(axis=0)
    activity = np.log2(1 + (codes_of(every) * steps[:, None]) ** 2)
    touched = int(inside[0].sum())
    counts = np.array([touched, int(sums.blocks.sum()) - touched])
    totals = np.stack([(inside * activity).sum(axis=1), ((every - inside) * activity).sum(axis=1)])
    return counts, totals, (every * activity**2).sum(axis=1)


def _magnitudes(histogram: np.ndarray) -> np.ndarray:
    """Counts of the magnitudes 0 .. largest, from counts of codes."""
    largest = histogram.shape[-1] // 2
    folded = np.zeros((len(histogram), largest + 1), np.int64)
    folded[:, :largest] = histogram[:, largest:]
    folded[:, 1:] += histogram[:, largest - 1 :: -1]
    return folded


def _entropy(counts: np.ndarray) -> np.ndarray:
    """Entropy in bits of each row of counts, corrected."""
    total = counts.sum(axis=-1, keepdims=True)
    plain = shannon(counts / np.maximum(total, 1))
    occurring = (counts > 0).sum(axis=-1)
    bits: np.ndarray = plain + (occurring - 1) / (2 * np.maximum(total[..., 0], 1) * np.log(2))
    return bits
