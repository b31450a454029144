"""The command: what it prints where, and its exit codes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic
from freqprep_cli.app import app
from PIL import Image
from synthetic import freqprep as run

import freqprep

COMMANDS = [
    *(
        "channels",
        "convert",
        "evaluate",
        "export",
        "info",
        "pack",
        "predict",
        "repair",
        "show",
        "stats",
    ),
    *("train", "verify"),
]


@pytest.fixture
def small(tmp_path) -> Path:
    return synthetic.image_folder(tmp_path / "small", {"train": 8, "val": 4}, corrupt=1)


def error_line(err: str) -> str:
    """The one error on stderr, which is its last line."""
    last = err.splitlines()[-1]
    assert last.startswith("error: ") and err.count("error: ") == 1, err
    assert "Traceback" not in err
    return last


def test_help_lists_every_command_and_each_has_an_example(call):
    code, out, _ = call("--help")
    assert code == 0
    assert sorted(command.name for command in app.registered_commands) == sorted(COMMANDS)
    for name in COMMANDS:
        assert f"\n  {name} " in out
        code, text, _ = call(name, "--help")
        assert code == 0 and f"Example: freqprep {name} " in text
        code, shown, complaint = call(name)
        assert "Usage:" in shown + complaint or name == "channels"  # it lists without a word


def test_the_options_of_convert_are_those_promised(call):
    _, text, _ = call("convert", "--help")
    promised = "split size geometry resize precision orientation jobs seed classes resume overwrite"
    for name in [*promised.split(), "retry-rejected", "dry-run", "max-failures", "json"]:
        assert f"--{name}" in text


def test_the_version_is_the_packages(call):
    assert call("--version") == (0, f"freqprep {freqprep.__version__}\n", "")


def test_json_is_one_object_and_alone_on_stdout(small, tmp_path):
    store = tmp_path / "out.zarr"
    words = ["convert", "imagefolder", small, store, "--size", "32", "--jobs", "2"]
    dry = synthetic.freqprep_json(*words, "--dry-run")
    converted = synthetic.freqprep_json(*words, code=3)
    information = synthetic.freqprep_json("info", store)
    checked = synthetic.freqprep_json("verify", store, "--source", small)
    for document in (dry, converted, information):
        assert set(document["splits"]) == {"train", "val"}
    assert converted["rejected"] == 2
    assert checked["ok"] is True and checked["problems"] == [] and checked["compared"] == 12
    for name, split in information["splits"].items():
        assert converted["splits"][name].items() <= split.items()
        assert split["content_id"] == freqprep.open_store(store)[name].content_id


def test_exit_code_0_and_3_by_the_number_of_rejects(small, tmp_path, call):
    words = ["convert", "imagefolder", small, "--size", "32", "--jobs", "1"]
    for limit, code in (("1", 3), ("2", 0), ("0", 3)):
        store = tmp_path / f"{limit}.zarr"
        ended, _, err = call(*words[:3], store, *words[3:], "--max-failures", limit)
        assert ended == code
        assert str(tmp_path / f"{limit}.zarr.rejected-train.jsonl") in err
        assert set(freqprep.open_store(store)) == {"train", "val"}


def test_usage_errors_are_exit_code_2(small, store, call):
    wrong = [
        ("convert", "imagefolder", small, store),
        ("convert", "video", small, store),
        ("convert", "imagefolder", small, store, "--resume", "--overwrite"),
        ("convert", "imagefolder", small, store, "--size", "many"),
        ("convert", "imagefolder", small, store, "--classes", "/no/such/file"),
        ("convert", "imagefolder", small, store, "--max-failures", "-1"),
        ("show", store, "0"),
        ("show", store, "0", "--split", "test"),
        ("show", store, "0", "--split", "val", "--channels", "square-25"),
        ("show", store, "no such key", "--split", "val"),
        ("nonsense",),
    ]
    for words in wrong:
        code, out, err = call(*words)
        assert code == 2 and out == "" and err, words


def test_errors_are_one_line_with_a_remedy(tmp_path, small, store, call):
    (tmp_path / "two\nlines").mkdir()
    wrong = [
        (1, "folder", ("convert", "imagefolder", tmp_path / "nothing", tmp_path / "x.zarr")),
        (1, "folder", ("convert", "imagefolder", tmp_path / "two\nlines", tmp_path / "x.zarr")),
        (1, "freqprep convert", ("info", tmp_path / "nothing")),
        (1, "freqprep convert", ("verify", tmp_path)),
        (1, "freqprep convert", ("show", tmp_path, "0")),
        (2, "--overwrite", ("convert", "imagefolder", small, store)),
        (2, "square-24", ("show", store, "0", "--split", "val", "--channels", "nope")),
        (2, "train, val", ("show", store, "0")),
    ]
    for code, remedy, words in wrong:
        ended, out, err = call(*words)
        assert ended == code and out == "", words
        error = error_line(err)
        assert remedy in error


def test_a_damaged_store_is_exit_code_4(store, tmp_path, call):
    copy = Path(shutil.copytree(store, tmp_path / "copy.zarr"))
    synthetic.flip(copy / "val/coefficients/c/0/0/0/0", 99)
    code, out, _ = call("verify", copy)
    assert code == 4 and "val/coefficients/c/0/0/0/0" in out and "NOT WHOLE" in out
    document = synthetic.freqprep_json("verify", copy, code=4)
    assert not document["ok"] and len(document["problems"]) >= 1
    split = freqprep.open_store(copy)["val"]
    row = int(np.flatnonzero(split.valid)[0])
    code, out, err = call("show", copy, str(row), "--split", "val", "-o", tmp_path / "row.png")
    assert code == 4 and out == "" and error_line(err)
    assert not (tmp_path / "row.png").exists()


def test_a_dry_run_writes_nothing_and_is_near_the_truth(source, store, tmp_path):
    listed = sorted(tmp_path.rglob("*"))
    words = ["convert", "imagefolder", source, tmp_path / "new/out.zarr", "--size", "32"]
    document = synthetic.freqprep_json(*words, "--dry-run")
    assert sorted(tmp_path.rglob("*")) == listed
    assert document["dry_run"] is True
    for name, split in document["splits"].items():
        files = [path for path in (store / name).rglob("*") if path.is_file()]
        true = sum(path.stat().st_size for path in files)
        assert true / 1.5 < split["stored_bytes"] < true * 1.5
        assert abs(split["files"] - len(files)) <= 3
        assert split["images"] == len(freqprep.open_store(store)[name])
        assert split["shards"] == freqprep.open_store(store)[name].shards
        assert split["memory_bytes"] > 0 and split["minutes"] > 0
        assert sum(split["rejected_in_sample"].values()) <= 5
    before = synthetic.contents(store)
    done = run("convert", "imagefolder", source, store, "--size", "32", "--dry-run")
    assert done.returncode == 2 and "--overwrite" in done.stderr
    done = run("convert", "imagefolder", source, source, "--dry-run")
    assert done.returncode == 2 and "not a freqprep store" in done.stderr
    assert synthetic.contents(store) == before


@pytest.mark.parametrize("channels", ["all", "square-24", "y_0_0,cb_0_0"])
def test_show_writes_the_image_of_the_split(store, tmp_path, call, channels):
    split = freqprep.open_store(store)["train"]
    row = int(np.flatnonzero(split.valid)[3])
    for word in (str(row), split.keys[row]):
        path = tmp_path / "row.png"
        words = ["show", store, word, "--split", "train", "--channels", channels, "-o", path]
        code, out, _ = call(*words, "--sheet", tmp_path / "sheet.png", "--overwrite")
        assert code == 0 and split.keys[row] in out
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert np.array_equal(np.asarray(image), split.image(row, channels))
        with Image.open(tmp_path / "sheet.png") as sheet:
            assert sheet.mode == "L"


def test_showing_a_rejected_row_says_why(store, tmp_path, call):
    split = freqprep.open_store(store)["train"]
    row = int(np.flatnonzero(~split.valid)[0])
    words = ["show", store, str(row), "--split", "train", "-o", tmp_path / "row.png"]
    code, out, err = call(*words)
    assert code == 1 and out == ""
    assert split.defect(row) in error_line(err)
    assert not (tmp_path / "row.png").exists()


def test_a_file_name_of_any_bytes_can_be_written_to(store, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    split = freqprep.open_store(store)["val"]
    row = int(np.flatnonzero(split.valid)[0])
    words = ["show", store, str(row), "--split", "val", "-o", path]
    done = synthetic.in_a_process(*words, env={"PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0, done.stderr
    assert os.path.exists(path)


def test_progress_is_plain_lines_on_stderr(source, tmp_path, capsys, monkeypatch):
    from freqprep import progress

    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    synthetic.make(source, tmp_path / "out.zarr")
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert any(line.startswith("train: 160/160 images, ") for line in lines)
    assert "\r" not in output.err and "\x1b" not in output.err


def test_info_says_what_is_unfinished(store, tmp_path, call):
    copy = Path(shutil.copytree(store, tmp_path / "copy.zarr"))
    (copy / ".partial-test/split").mkdir(parents=True)
    _, out, _ = call("info", copy)
    assert "unfinished" in out and "test" in out
    assert synthetic.freqprep_json("info", copy)["unfinished"] == ["test"]


def test_classes_from_a_file(small, tmp_path, call):
    (tmp_path / "classes.txt").write_text("cloud\n\napple\nbrick\nunseen\n")
    words = ["convert", "imagefolder", small, tmp_path / "out.zarr", "--size", "16", "--jobs", "1"]
    code, _, _ = call(*words, "--classes", tmp_path / "classes.txt")
    assert code == 3
    ids = freqprep.open_store(tmp_path / "out.zarr")["val"].attributes.class_ids
    assert ids == ("cloud", "apple", "brick", "unseen")


def test_a_closed_pipe_is_no_traceback(store):
    shown = " ".join(f"'{word}'" for word in map(str, synthetic.command("info", store, "--json")))
    script = f"{shown} | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_convert_needs_no_torch(store):
    program = (
        "import sys; sys.modules['torch'] = None; import freqprep; "
        f"print(len(freqprep.open_store({str(store)!r})['val']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "24\n", done.stderr


def test_the_log_beside_the_store_has_what_the_store_must_not(small, tmp_path):
    store = synthetic.make(small, tmp_path / "out.zarr")
    lines = (tmp_path / "out.zarr.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["split"] for entry in entries] == ["train", "val"]
    for entry in entries:
        assert entry["source"] == str(small) and entry["jobs"] == 1
        assert entry["content_id"] == freqprep.open_store(store)[entry["split"]].content_id
