"""How two splits differ, against the same by hand."""

import numpy as np
import pytest

from freqprep.engines import Workers
from freqprep.errors import UsageError
from freqprep.importance.analysis import Analysis, analyse
from freqprep.importance.drift import compute_drift
from freqprep.importance.request import other_split
from freqprep.store.reader import open_store


@pytest.fixture(scope="module")
def analysis(store) -> Analysis:
    return analyse(open_store(store)["train"], workers=Workers(1))


def test_a_split_does_not_drift_from_itself(analysis):
    found = compute_drift(analysis, analysis, "visible", 24)
    assert (found.level == 0).all()
    assert (found.mean_shift == 0).all()
    assert (found.rank_change == 0).all()
    assert np.allclose(found.divergence, 0, atol=1e-12)
    assert (found.spearman, found.overlap) == (pytest.approx(1), 1)


def test_drift_against_brute_force(analysis, crop_store, store):
    other = analyse(open_store(store)["val"], workers=Workers(1))
    found = compute_drift(analysis, other, "energy", 24)
    energies = [a.rankings["energy"].values for a in (analysis, other)]
    seen = np.maximum(*energies) >= analysis.steps**2 / 12
    assert np.allclose(found.level[seen], 10 * np.log10(energies[1] / energies[0])[seen])
    assert (found.level[~seen] == 0).all() and (found.below_rounding == ~seen).all()
    assert seen.sum() > 60
    counts = [a.sums.histogram.sum(axis=0)[5] for a in (analysis, other)]
    p, q = (c / c.sum() for c in counts)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.nansum(x * np.log2(x / middle)) for x in (p, q)]
    assert found.divergence[5] == pytest.approx(sum(parts) / 2)
    assert (np.abs(found.standard_errors) < 6).all()  # the same kind of pictures
    other_steps = compute_drift(
        analysis, analyse(open_store(crop_store)["train"], workers=Workers(1)), "energy", 24
    )
    assert other_steps.divergence is None


def test_the_other_split(store, crop_store):
    opened = open_store(store)
    train = opened["train"]
    assert other_split(opened, train, "val").attributes.split == "val"
    assert other_split(opened, train, str(crop_store)).path == crop_store / "train"
    assert other_split(opened, train, str(crop_store / "val")).path == crop_store / "val"
    with pytest.raises(UsageError, match="neither a split"):
        other_split(opened, train, "nowhere")
