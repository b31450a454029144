"""``freqprep train``: what it prints and leaves behind, interrupts, several processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic
from compute_threads import one_compute_thread
from ranks import freqprep_on_ranks

torch = pytest.importorskip("torch")

from freqprep.training import loop  # noqa: E402
from freqprep.training.checkpoint import CHECKPOINT  # noqa: E402
from freqprep.training.metrics import read_metrics  # noqa: E402

TINY = [
    "--model",
    "mobilenet_v2",
    "--channels",
    "paper-6",
    "--grid",
    "16",
    "--batch-size",
    "32",
    "--device",
    "cpu",
]


def test_a_run_for_people_and_as_json(call, store, tmp_path):
    run = tmp_path / "run"
    words = ["train", store, *TINY, "--run", run, "--epochs", "1"]
    code, out, err = call(*words)
    assert code == 0, err
    assert out.startswith(f"mobilenet_v2 in {run}\n")
    for word in ("6 x 16 x 16", "parameters", "multiply-accumulates", "top-1", "19 images"):
        assert word in out
    assert "epoch 1/1: validation loss" in err
    code, out, _ = call(*words, "--resume", "--json")
    document = json.loads(out)
    assert code == 0 and document["model"] == "mobilenet_v2"
    assert document["validation"]["images"] == 19
    assert {path.name for path in run.iterdir()} == {
        *("model.json", "checkpoint.pt", "metrics.jsonl", "curves.png")
    }


def test_a_ramp_of_grids_sets_the_grid_of_use(call, store, tmp_path):
    words = [word for word in TINY if word not in ("--grid", "16")]
    words = ["train", store, *words, "--run", tmp_path / "run", "--grid-ramp"]
    code, out, err = call(*words, "16:24", "--epochs", "1", "--early-read", "paper-6")
    assert code == 0, err
    assert "6 x 24 x 24" in out
    for text in ("16-24", "16:24:32", "x:y"):
        code, _, err = call(*words, text)
        assert code == 2
        assert f"--grid-ramp must be two whole numbers with a colon, got '{text}'" in err
    code, _, err = call(*words, "24:16")
    assert code == 2 and "a grid ramp of (24, 16) cannot be used" in err


@pytest.fixture
def one_thread():
    """As many compute threads as in processes of `ONE_THREAD`."""
    with one_compute_thread():
        yield


def test_ctrl_c_saves_and_resume_goes_on(one_thread, store, tmp_path, monkeypatch):
    words = ["train", store, *TINY, "--epochs", "2", "--seed", "3"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert synthetic.freqprep(*words, "--run", whole).returncode == 0
    real = loop.say

    def interrupt_when_validated(text: str) -> None:
        real(text)
        if "validation loss" in text:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "say", interrupt_when_validated)
        stopped = synthetic.freqprep(*words, "--run", cut)
    assert stopped.returncode == 130 and "Traceback" not in stopped.stderr
    assert stopped.stderr.endswith(f"saved in {cut}: go on with --resume\n")
    assert max(line["steps"] for line in read_metrics(cut)) == 4
    assert synthetic.freqprep(*words, "--run", cut, "--resume").returncode == 0
    last, other = ([line["loss"] for line in read_metrics(folder)] for folder in (whole, cut))
    assert last == other


def test_two_processes_train_one_network_and_one_goes_on(store, tmp_path):
    run = tmp_path / "run"
    words = ["train", store, *TINY, "--run", run, "--seed", "1"]
    done = freqprep_on_ranks(*words, "--epochs", "2", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)  # the second process is silent
    assert document["validation"]["images"] == 19
    assert done.stderr.count("training on ") == 1 and "; 2 processes" in done.stderr
    lines = read_metrics(run)
    assert [line["steps"] for line in lines if line["kind"] == "validation"] == [4, 8]
    alone = synthetic.freqprep_json(*words, "--epochs", "2", "--resume")
    assert alone["validation"] == document["validation"]


def test_several_weights_of_the_gate_are_compared(call, store, tmp_path):
    words = ["train", store, *TINY, "--run", tmp_path / "sweep", "--epochs", "1", "--gate"]
    code, out, err = call(*words, "--gate-lambda", "0,20")
    assert code == 0, err
    assert [line.split()[:2] for line in out.splitlines()] == [["lambda", "0"], ["lambda", "20"]]
    assert out.count("top-1") == 2


def test_two_processes_choose_the_same_channels(store, tmp_path):
    """Every process freezes its own choice: a differing one would train another network."""
    words = ["train", store, *TINY, "--run", tmp_path / "run", "--epochs", "1", "--json", "--gate"]
    done = freqprep_on_ranks(*words, "--gate-channels", "3")
    assert done.returncode == 0, done.stderr
    gate = json.loads(done.stdout)["gate"]
    assert gate["open"] == 3 == len(gate["channels"])
    lines = [line for line in read_metrics(tmp_path / "run") if line["kind"] == "train"]
    assert lines[-1]["channels_open"] == 3  # the mean over both


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--epochs", "0"], 2, "0 epochs"),
        (["--preset", "long"], 2, "--preset must be short, fast or paper, got 'long'"),
        (["--channels", "nothing"], 2, "known selections"),
        (["--read", "y_0_0"], 2, "channels are used that are not read"),
        (["--grid", "4"], 2, "from 16 to 256"),
        (["--gate-lambda", "1"], 2, "add --gate"),
        (["--gate-channels", "3"], 2, "--gate-channels without --gate"),
        (["--gate", "--gate-channels", "3", "--gate-budget", "1KB/image"], 2, "give one"),
        (["--gate", "--gate-channels", "7"], 2, "cannot choose 7 of 6 channels"),
        (["--gate"], 2, "cannot choose 24 of 6 channels"),
        (["--gate", "--gate-budget", "30"], 2, "with a unit, got '30'"),
        (["--gate", "--gate-lambda", "much"], 2, "must be numbers with commas"),
        (["--input", "rgb"], 2, "RGB input has no channels"),
        (["--train-split", "valid"], 2, "it has: train, val"),
        (["--init", "nothing.pt"], 2, "nothing.pt"),
    ],
)
def test_wrong_use_is_one_line_and_its_exit_code(call, store, tmp_path, words, code, said):
    run = tmp_path / "run"
    found, out, err = call("train", store, *TINY, "--epochs", "1", "--run", run, *words)
    assert (found, out) == (code, "")
    assert said in err and "Traceback" not in err
    assert not run.exists()


def test_a_damaged_checkpoint_is_named(call, store, tmp_path):
    words = ["train", store, *TINY, "--run", tmp_path / "run", "--epochs", "1"]
    assert call(*words)[0] == 0
    path = tmp_path / "run" / CHECKPOINT
    whole = path.read_bytes()
    for data in (whole[:-100], whole[: len(whole) // 2], b"", b"not a checkpoint"):
        path.write_bytes(data)
        code, _, err = call(*words, "--resume")
        assert code == 1 and f"the checkpoint {path} is damaged" in err
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    code, _, err = call(*words, "--resume")
    assert code == 1 and "checksum" in err


def test_without_torch_the_remedy_is_named(store, tmp_path):
    program = "import sys; sys.modules['torch'] = None\nfrom freqprep_cli.main import main; main()"
    words = ["train", store, *TINY, "--run", tmp_path / "run"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'freqprep[train]'" in done.stderr and "Traceback" not in done.stderr
    assert not Path(tmp_path / "run").exists()
