"""What channels say about labels: against analysis of variance, counting, and chance."""

import numpy as np
import pytest
import synthetic
from brute import whole
from scipy import stats

from freqprep.engines import Workers
from freqprep.errors import UsageError
from freqprep.importance.collect import collect
from freqprep.importance.label_scores import label_information, label_share
from freqprep.importance.sums import ACTIVITY_UNIT, Sums
from freqprep.store.reader import open_store

STEPS = np.full(192, 4.0)


@pytest.fixture(scope="module")
def split(store):
    return open_store(store)["train"]


@pytest.fixture(scope="module")
def sums(split):
    return collect(split, Workers(1)).sums


def labelled(activity: np.ndarray, labels: np.ndarray, levels: np.ndarray) -> Sums:
    """Sums of images of known activities, (n, 192) in units, and levels."""
    classes = int(labels.max()) + 1
    sums = Sums.zero(128, classes, objects=False)
    sums.images[0] = len(labels)
    np.add.at(sums.class_images[0], labels, 1)
    np.add.at(sums.class_activity[0], labels, activity)
    sums.class_squares[0] += (activity**2).sum(axis=0)
    np.add.at(sums.class_levels[0], (labels[:, None], np.arange(192), levels), 1)
    return sums


def test_the_share_follows_from_the_f_statistic(split, sums):
    """``epsilon**2 = 1 - (n - 1) / (n - K) / (1 + F (K - 1) / (n - K))``, by scipy's F."""
    reference = whole(split)
    groups = [reference.activity[reference.labels == label] for label in range(3)]
    images = len(reference.rows)
    f = stats.f_oneway(*groups).statistic
    eta = f * 2 / (f * 2 + images - 3)
    expected = np.clip(1 - (1 - eta) * (images - 1) / (images - 3), 0, 1)
    assert np.allclose(label_share(sums, split.steps), expected, atol=2e-3)


def test_information_is_that_of_the_table_of_counts(sums):
    joint = sums.class_levels.sum(axis=0).transpose(1, 0, 2)
    found = label_information(sums, STEPS)
    for channel in (0, 5, 64, 130, 191):
        table = joint[channel]
        n = table.sum()
        plain = (
            stats.entropy(table.sum(axis=1), base=2)
            + stats.entropy(table.sum(axis=0), base=2)
            - stats.entropy(table.reshape(-1), base=2)
        )
        cells = [(table.sum(axis=a) > 0).sum() - 1 for a in (0, 1)]
        bias = (sum(cells) - ((table > 0).sum() - 1)) / (2 * n * np.log(2))
        assert found[channel] == pytest.approx(max(plain + bias, 0), abs=1e-12)


def test_labels_by_chance_say_nothing_and_labels_that_decide_say_all():
    rng = np.random.default_rng(1)
    labels = np.arange(4000) % 4
    levels = rng.integers(0, 16, (4000, 192))
    activity = rng.integers(0, 9000, (4000, 192))
    activity[:, 7] = labels * 1000
    levels[:, 7] = labels * 3
    sums = labelled(activity, labels, levels)
    share, information = label_share(sums, STEPS), label_information(sums, STEPS)
    assert share[7] == pytest.approx(1)
    assert information[7] == pytest.approx(2, abs=1e-3)
    rest = np.arange(192) != 7
    assert share[rest].max() < 0.01
    assert share[rest].mean() < 5e-4  # the correction takes the bias of 3 / 4000 away
    assert information[rest].max() < 0.02


def test_a_constant_channel_has_no_signal():
    labels = np.arange(50) % 5
    sums = labelled(np.full((50, 192), 1234), labels, np.full((50, 192), 3))
    assert (label_share(sums, STEPS) == 0).all()
    assert (label_information(sums, STEPS) == 0).all()


REFUSED = {
    "the images have neither labels nor boxes": np.zeros(0, int),
    "all labelled images .6. are of one class": np.full(6, 2),
    "each of the 6 classes has a single image": np.arange(6),
}


@pytest.mark.parametrize(("message", "labels"), REFUSED.items())
@pytest.mark.parametrize("score", [label_share, label_information])
def test_nothing_to_tell_apart(message, labels, score):
    activity = np.random.default_rng(0).integers(0, 100, (len(labels), 192))
    sums = Sums.zero(128, 6, objects=False)
    if len(labels):
        sums = labelled(activity, labels, activity % 16)
    with pytest.raises(UsageError, match=message):
        score(sums, STEPS)


def objects(inside: np.ndarray, outside: np.ndarray) -> Sums:
    """Sums of blocks with known codes, (192, blocks), inside and outside of boxes."""
    sums = Sums.zero(128, 0, objects=True)
    for channel in range(192):
        mine = np.bincount(inside[channel] + 128, minlength=256)
        sums.object_histogram[0, channel] = mine
        sums.histogram[0, channel] = mine + np.bincount(outside[channel] + 128, minlength=256)
    sums.blocks[0] = inside.shape[1] + outside.shape[1]
    return sums


def test_objects_against_background():
    rng = np.random.default_rng(3)
    inside, outside = rng.integers(-9, 10, (2, 192, 3000))
    inside[11], outside[11] = 5, 0
    inside[12] = inside[12] * 2
    sums = objects(inside, outside)
    share, information = label_share(sums, STEPS), label_information(sums, STEPS)
    assert share[11] == pytest.approx(1)
    assert information[11] == pytest.approx(1, abs=1e-3)
    values = [np.log2(1 + (4.0 * codes[12]) ** 2) for codes in (inside, outside)]
    f = stats.f_oneway(*values).statistic
    eta = f / (f + 5998)
    assert share[12] == pytest.approx(1 - (1 - eta) * 5999 / 5998, abs=1e-9)
    assert share[20:].max() < 0.005
    assert information[20:].max() < 0.01


def test_boxes_that_touch_nothing_or_everything():
    codes = np.ones((192, 10), int)
    with pytest.raises(UsageError, match="no block"):
        label_share(objects(codes[:, :0], codes), STEPS)
    with pytest.raises(UsageError, match="every block"):
        label_information(objects(codes, codes[:, :0]), STEPS)


def test_sums_of_real_labels_are_what_labelled_makes(split, sums):
    """The hand-made sums of these tests have the form of the real ones."""
    reference = whole(split)
    activity = np.rint(reference.activity / ACTIVITY_UNIT).astype(np.int64)
    made = labelled(activity, reference.labels, np.zeros_like(activity))
    assert np.allclose(label_share(made, STEPS), label_share(sums, STEPS))


def test_detection_data_gets_a_label_signal(data, tmp_path):
    store = synthetic.make(data / "bccd", tmp_path / "x.zarr", kind="coco", size=320, split="val")
    split = open_store(store)["val"]
    sums = collect(split, Workers(1)).sums
    share = label_share(sums, split.steps.astype(np.float64))
    assert share.max() > 0.05  # cells are dark and coloured, the background is not
