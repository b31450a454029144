"""Everything that names channels: counts, files, and names saved in a store."""

import os
import shutil

import numpy as np
import pytest
import synthetic

import freqprep
from freqprep.engines import Workers
from freqprep.errors import StoreError, UnknownChannelError, UsageError
from freqprep.spectrum.channels import CHANNELS, NAMES, PUBLISHED, Selection, channels
from freqprep.store.selections import (
    FOLDER,
    check_name,
    problems,
    save_selection,
    saved_selections,
    select,
    write_selection,
)
from freqprep.store.verify import Problem, verify

MINE = Selection((64, 3, 0), "mine")


def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(copy, monkeypatch):
    save_selection(copy, MINE, {})
    before = synthetic.contents(copy)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("freqprep.storage.disk.os.rename", full)
    with pytest.raises(OSError, match="No space left"):
        save_selection(copy, Selection((1,), "mine"), {})
    assert synthetic.contents(copy) == before
    assert os.listdir(copy / FOLDER) == ["mine.json"]


def test_a_saved_selection_is_replaced_and_the_splits_stay_what_they_are(store, copy):
    save_selection(copy, MINE, {})
    save_selection(copy, Selection((7,), "mine"), {})
    assert saved_selections(copy) == {"mine": Selection((7,), "mine")}
    saved = synthetic.contents(copy)
    without = {name: data for name, data in saved.items() if not name.startswith(FOLDER)}
    assert without == synthetic.contents(store)
    for name, split in freqprep.open_store(store).items():
        assert freqprep.open_store(copy)[name].content_id == split.content_id
    assert not verify(copy, Workers(1)).problems


def test_saving_needs_a_store_and_a_file_a_json_name(tmp_path):
    with pytest.raises(StoreError, match="not a store"):
        save_selection(tmp_path, MINE, {})
    with pytest.raises(UsageError, match=r"\.json"):
        write_selection(tmp_path / "mine.txt", MINE, {})
    with pytest.raises(UsageError, match="not a folder"):
        write_selection(tmp_path / "nowhere" / "mine.json", MINE, {})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a", "Mine", "mine-24_b.2", "a" * 64, "trianglesque", "y_0_8"])
def test_names_that_can_be_used(val, name):
    save_selection(val.path.parent, Selection((5, 4), name), {})
    assert select(f" {name} ", val) == Selection((5, 4), name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        *((name, "published") for name in [*PUBLISHED, "all"]),
        *((name, "rule") for name in ("triangle-24", "triangle-mine", "zigzag-1+1+1", "zigzag-")),
        *((name, "channel") for name in ("y_0_0", "cb_3_4", "cr_7_7")),
        *((name, "file") for name in ("mine.json", "a.json.json")),
        *((name, "letter") for name in ("", "24", "0,1", "-a", ".a", "../a", "a/b", "a b", "ä")),
        *((name, "letter") for name in ("a" * 65, "a\n", "a\0", "explicit channels")),
    ],
)
def test_names_that_clash_are_refused_with_the_reason(copy, name, why):
    with pytest.raises(UsageError, match=f"cannot be the name .* it .*{why}"):
        check_name(name)
    with pytest.raises(UsageError):
        save_selection(copy, Selection((1,), name), {})
    assert not (copy / FOLDER).exists()


def test_a_file_by_hand_hides_no_published_selection(val):
    folder = val.path.parent / FOLDER
    folder.mkdir()
    for name in ("square-24", "all", "y_0_0", "triangle-24"):
        write_selection(folder / f"{name}.json", Selection((9,), name), {})
        assert select(name, val).indices == channels(name).indices
    assert {where for where, _ in problems(val.path.parent)} == {
        f"{FOLDER}/{name}.json" for name in ("square-24", "all", "y_0_0", "triangle-24")
    }


def energies(split: freqprep.Split) -> np.ndarray:
    """Sum of squared coefficients of each channel, from the decoded ones; blocks beyond are 0."""
    coefficients = split.read(split.valid).astype(np.float64)
    return (coefficients**2).sum(axis=(0, 2, 3))


@pytest.mark.parametrize("name", ["store", "crop_store"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_count_takes_the_channels_of_the_most_energy(request, name, split):
    split = freqprep.open_store(request.getfixturevalue(name))[split]
    energy = energies(split)
    order = sorted(range(CHANNELS), key=lambda index: (-energy[index], index))
    for count in (1, 2, 24, 191, CHANNELS):
        expected = Selection(tuple(order[:count]), str(count))
        for asked in (count, np.uint8(count), str(count), f" {count}\n", f"0{count}"):
            assert select(asked, split) == expected


def test_ties_go_to_the_lower_index(copy):
    class Level:
        path = copy / "val"
        attributes = freqprep.open_store(copy)["val"].attributes
        moments = freqprep.open_store(copy)["val"].moments
        steps = np.ones(CHANNELS, np.float32)

    Level.moments.total_squares[:] = 5
    Level.moments.total_squares[[100, 50]] = 6
    assert select(5, Level()).indices == (50, 100, 0, 1, 2)


@pytest.mark.parametrize("count", [0, -1, 193, "0", "193", "999999999", 10**30])
def test_counts_out_of_range_are_refused(val, count):
    with pytest.raises(UsageError, match=r"1 to 192"):
        select(count, val)


@pytest.mark.parametrize("asked", [24, "24"])
def test_a_count_needs_a_split(asked):
    with pytest.raises(UsageError, match="in a split; give the split"):
        freqprep.channels(asked)


def test_every_form_is_taken_wherever_channels_are(val, tmp_path):
    store = val.path.parent
    write_selection(tmp_path / "file.json", MINE, {})
    save_selection(store, MINE, {})
    row = int(val.valid.nonzero()[0][0])
    forms = ["mine", "cb_0_0,y_0_3,y_0_0", [64, 3, 0], ("cb_0_0", 3, "y_0_0"), MINE]
    forms += [tmp_path / "file.json", str(tmp_path / "file.json"), np.array([64, 3, 0])]
    for form in forms:
        assert freqprep.channels(form, val).indices == MINE.indices
        assert np.array_equal(val.read_codes([row], form), val.read_codes([row], MINE))
        assert np.array_equal(val.read([row], form), val.read([row], MINE))
        assert np.array_equal(val.image(row, form), val.image(row, MINE))
    for all_of_them in (None, "all", 192):
        assert sorted(freqprep.channels(all_of_them, val).indices) == list(range(CHANNELS))
    assert val.read_codes([row], 3).shape[1] == 3
    assert freqprep.channels([3], val).names == (NAMES[3],)


@pytest.mark.parametrize(
    "asked", [True, False, 3.0, -1.5, "0,1,8", "3.0", "-3", "+3", "1e2", "square-42", "", "../x"]
)
def test_what_names_nothing_is_unknown_and_what_is_known_is_listed(val, asked):
    save_selection(val.path.parent, MINE, {})
    save_selection(val.path.parent, Selection((1,), "other"), {})
    with pytest.raises(UnknownChannelError) as error:
        select(asked, val)
    for known in PUBLISHED:
        assert known in str(error.value)
    if isinstance(asked, str):
        assert f"saved in {val.path.parent}: mine, other" in str(error.value)
        with pytest.raises(UnknownChannelError, match="needs the split"):
            select(asked)


def test_verify_finds_what_does_not_belong(copy):
    save_selection(copy, MINE, {})
    folder = copy / FOLDER
    (folder / ".partial-abc").mkdir()  # another process is saving
    assert not verify(copy, Workers(1)).problems
    shutil.copy(folder / "mine.json", folder / "yours.json")
    (folder / "notes.txt").write_text("mine")
    (folder / "folder").mkdir()
    found = {problem.where: problem.what for problem in verify(copy, Workers(1)).problems}
    assert set(found) == {f"{FOLDER}/{name}" for name in ("yours.json", "notes.txt", "folder")}
    assert "'mine'" in found[f"{FOLDER}/yours.json"]
    assert saved_selections(copy) == {"mine": MINE}


def test_a_file_cut_off_anywhere_is_found(copy):
    path = save_selection(copy, MINE, {})
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        (found,) = problems(copy)
        assert found[0] == f"{FOLDER}/mine.json"


def test_a_file_in_place_of_the_folder_is_a_problem(copy):
    (copy / FOLDER).write_text("mine")
    assert verify(copy, Workers(1)).problems == (Problem(FOLDER, "is not a folder"),)
    with pytest.raises(UsageError, match="not a folder"):
        save_selection(copy, MINE, {})
    with pytest.raises(UnknownChannelError, match=r"saved in .*: none"):
        select("mine", freqprep.open_store(copy)["val"])
    assert (copy / FOLDER).read_text() == "mine"
