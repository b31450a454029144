"""``freqprep pack``: what it prints, its estimates and exit codes."""

import json
import shutil

import pytest
import synthetic

import freqprep
from freqprep.text.quantities import size

STATED = {"images", "shards", "files", "channels", "level", "bytes_before", "stored_bytes"}


def test_the_summary_says_what_is_stored(store, tmp_path, call):
    target = tmp_path / "new.zarr"
    words = ("pack", store, target, "--level", "17", "--channels", "paper-48", "--jobs", "1")
    code, out, _ = call(*words, "--split", "val")
    assert code == 0
    lines = {line[2:14].strip(): line[16:] for line in out.splitlines()[1:]}  # "published 24"
    assert lines["channels"] == "48 of 192: paper-48"
    assert lines["zstd level"] == "17"
    assert lines["precision"] == "int8, steps 4 to 8"
    split = freqprep.open_store(target)["val"]
    stored = sum(entry.file_bytes for entry in split.manifest.files.values())
    each = stored / int(split.valid.sum())
    assert lines["48 stored"].startswith(f"{size(each)} an image, ")
    assert "published 24" in lines and "all 192" not in lines
    assert "; with all 192 channels" in " ".join(out.split())
    assert lines["content id"] == split.content_id
    assert lines["packed from"] == freqprep.open_store(store)["val"].content_id
    shown = call("info", target)[1].splitlines()  # of mixing it says more
    assert [line for line in out.splitlines() if "mixing" not in line] == [
        line for line in shown if "mixing" not in line
    ][: len(out.splitlines()) - ("mixing" in out)]


def test_json_has_the_old_keys_and_the_new(store, tmp_path, call):
    before = json.loads(call("info", store, "--json")[1])["splits"]["val"]
    assert before["level"] == 1 and len(before["channels"]) == 192
    assert before["packed_from"] is None and before["steps"] == [4, 8]
    target = tmp_path / "new.zarr"
    words = ("pack", store, target, "--channels", "paper-6", "--level", "3", "--jobs", "1")
    code, out, _ = call(*words, "--json")
    document = json.loads(out)
    assert code == 0 and set(document) == {"store", "source", "seconds", "splits"}
    assert set(document["splits"]) == {"train", "val"}
    packed = document["splits"]["val"]
    assert packed.items() <= json.loads(call("info", target, "--json")[1])["splits"]["val"].items()
    assert packed.keys() <= before.keys()
    assert packed["level"] == 3 and packed["packed_from"] == before["content_id"]
    assert packed["channels"] == ["y_0_0", "y_0_1", "y_1_0", "y_1_1", "cb_0_0", "cr_0_0"]
    assert packed["published_24_bytes_per_image"] is None
    assert "published 24" not in call("info", target)[1]
    assert packed["precision"] == "int8"


@pytest.mark.parametrize("options", [{}, {"channels": "paper-48"}, {"level": "17"}], ids=str)
def test_a_dry_run_writes_nothing_and_is_near_the_truth(store, tmp_path, call, options):
    target = tmp_path / "new" / "new.zarr"
    words = ["pack", store, target, "--jobs", "1"]
    words += [word for name, value in options.items() for word in (f"--{name}", value)]
    code, out, _ = call(*words, "--dry-run", "--json")
    assert code == 0 and not list(tmp_path.iterdir())
    document = json.loads(out)
    assert document["dry_run"] is True and document["free_bytes"] > 0
    assert call(*words)[0] == 0
    for name, split in freqprep.open_store(target).items():
        stated = document["splits"][name]
        assert stated.keys() >= STATED
        files = [path for path in (target / name).rglob("*") if path.is_file()]
        true = sum(entry.file_bytes for entry in split.manifest.files.values())
        assert stated["stored_bytes"] == pytest.approx(true, rel=0.05)
        assert stated["files"] == len(files)
        assert stated["stored_bytes_per_image"] == stated["stored_bytes"] / split.valid.sum()
        assert len(stated["channels"]) == len(split.attributes.channels)
        assert stated["minutes"] > 0 and stated["sampled_shards"] == split.shards


def test_a_dry_run_in_words(store, tmp_path, call):
    words = ("pack", store, tmp_path / "new.zarr", "--level", "9", "--split", "train")
    code, out, _ = call(*words, "--dry-run", "--jobs", "1", "--channels", "y_0_0,cb_0_0")
    assert code == 0
    assert "2 of 192: y_0_0, cb_0_0" in out and "zstd level  9" in out
    assert " an image, " in out and "with 1 job" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_exit_codes(store, tmp_path, call):
    target = tmp_path / "new.zarr"
    assert call("pack", store, target, "--jobs", "1")[0] == 0
    wrong = [
        (2, "already has the split", (store, target)),
        (2, "--level must be from 1 to 22", (store, target, "--level", "23")),
        (2, "mutually exclusive", (store, target, "--resume", "--overwrite")),
        (2, "is the store to pack", (store, store)),
        (2, "is inside the store", (store, store / "new")),
        (2, "train, val", (store, target, "--split", "test")),
        (2, "square-24", (store, target, "--channels", "square-25")),
        (1, "freqprep convert", (tmp_path / "nothing", target)),
    ]
    for code, remedy, words in wrong:
        ended, out, err = call("pack", *words)
        assert (ended, out) == (code, ""), words
        assert err.startswith("error: ") and remedy in err, words
        assert err.count("\n") == 1
    assert call("pack", store, target, "--resume")[0] == 0


def test_a_damaged_shard_is_exit_code_4(store, tmp_path, call):
    copy = shutil.copytree(store, tmp_path / "copy.zarr")
    synthetic.flip(copy / "val/coefficients/c/0/0/0/0", 99)
    code, out, err = call("pack", copy, tmp_path / "new.zarr", "--jobs", "1")
    assert (code, out) == (4, "")
    assert "val/coefficients/c/0/0/0/0" in err.splitlines()[-1]
    assert list(freqprep.open_store(tmp_path / "new.zarr")) == ["train"]


def test_info_names_an_unfinished_split(store, tmp_path, call, monkeypatch):
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("freqprep.pack.run.pack_shard", stop)
    code, _, err = call("pack", store, tmp_path / "new.zarr", "--jobs", "1")
    assert code == 130 and "--resume to continue" in err
    assert "unfinished (run it again with --resume): train, val" in call(
        "info", tmp_path / "new.zarr"
    )[1]  # fmt: skip
