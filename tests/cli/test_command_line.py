"""Completion by real shells, wrong words in plain English, and help that is legible."""

import itertools
import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import synthetic
from freqprep_cli import convert, stats, train
from freqprep_cli.app import app
from typer.main import get_command

from freqprep.importance.ranking import SCORES
from freqprep.sources import SOURCES
from freqprep.spectrum.channels import PUBLISHED
from freqprep.spectrum.quantization import PRECISIONS

COMMANDS = [command.name for command in app.registered_commands]
WHOLE_ALONE = {"channels"}
"""Commands that need no argument: alone they list what there is."""


@pytest.fixture(scope="session")
def shell(tmp_path_factory) -> Path:
    """A folder with the command as people have it, to be first on PATH."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "freqprep"
    call = "import sys; sys.argv[0] = 'freqprep'; from freqprep_cli.main import main; main()"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{call}" "$@"\n')
    program.chmod(0o755)
    return folder


def complete_in_bash(shell: Path, *words: str) -> list[str]:
    """What bash offers for the last word, by the script that the command gives it."""
    script = f"""
        eval "$(freqprep --show-completion bash)"
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
        COMP_CWORD={len(words) - 1}
        $(complete -p freqprep | sed 's/.*-F \\([^ ]*\\).*/\\1/') freqprep
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": f"{shell}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_and_values(shell):
    assert set(complete_in_bash(shell, "freqprep", "")) == set(COMMANDS)
    words = ["freqprep", "convert", "coco", "a", "b", "--precision", ""]
    assert set(complete_in_bash(shell, *words)) == set(PRECISIONS)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["freqprep", ""], set(COMMANDS)),
        (["freqprep", "tr"], {"train"}),
        (["freqprep", "convert", "image"], {"imagefolder", "imagenet"}),
        (["freqprep", "convert", "coco", "a", "b", "--precision", ""], set(PRECISIONS)),
        (["freqprep", "train", "a", "--model", "res"], {"resnet50"}),
        (["freqprep", "train", "a", "--preset", ""], {"short", "fast", "paper"}),
        (["freqprep", "train", "a", "--channels", "pa"], {n for n in PUBLISHED if n[:2] == "pa"}),
        (["freqprep", "train", "a", "--device", "c"], {"cpu", "cuda"}),
        (["freqprep", "stats", "a", "--by", "label_"], {"label_share", "label_information"}),
        (["freqprep", "verify", "a", "--s"], {"--source", "--sample", "--split"}),
    ],
)
def test_the_script_is_told_commands_options_and_values(call, monkeypatch, words, offered):
    """Bash's script asks the command so for what it offers."""
    asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    for name, value in {"_FREQPREP_COMPLETE": "complete_bash", **asked}.items():
        monkeypatch.setenv(name, value)
    _, out, err = call()
    assert set(out.split()) == offered and err == ""


def test_each_shell_gets_its_script_and_others_are_refused(call):
    beginnings = {"bash": "_freqprep_completion()", "zsh": "#compdef freqprep", "fish": "complete"}
    for name, beginning in beginnings.items():
        code, out, _ = call("--show-completion", name)
        assert code == 0 and out.startswith(beginning)
    code, out, err = call("--show-completion", "csh")
    assert (code, out) == (2, "") and "bash, zsh or fish, got 'csh'" in err


def test_installing_completion_writes_where_the_shell_looks(shell, tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{shell}:{os.environ['PATH']}"}
    subprocess.run(
        ["freqprep", "--install-completion", "bash"], env=environment, check=True, text=True
    )
    script = "source ~/.bashrc; complete -p freqprep"
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=environment, check=True, capture_output=True
    )
    assert b"-F _freqprep_completion freqprep" in done.stdout


def test_completing_does_not_import_torch(shell):
    program = "import sys; sys.modules['torch'] = None; from freqprep_cli.main import main; main()"
    environment = {"_FREQPREP_COMPLETE": "complete_bash", "COMP_CWORD": "4"}
    done = subprocess.run(
        [sys.executable, "-c", program.replace("main()", "sys.argv[0] = 'freqprep'; main()")],
        env={**os.environ, **environment, "COMP_WORDS": "freqprep train a --model "},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "resnet50" in done.stdout.split()


def test_closed_sets_are_those_of_the_library():
    pytest.importorskip("torch")
    from freqprep.augment.input_spec import KINDS
    from freqprep.models.detection import DETECTORS
    from freqprep.models.networks import MODELS, STRIDES
    from freqprep.training.recipe import PRESETS

    assert typing.get_args(train.Model) == (*MODELS, *DETECTORS)
    assert typing.get_args(train.Input) == tuple(KINDS)
    assert typing.get_args(train.Strides) == STRIDES
    assert typing.get_args(train.Preset) == tuple(PRESETS)
    assert typing.get_args(convert.Kind) == tuple(SOURCES)
    assert {*SCORES} < set(stats.score_names())


TRAIN = ["train", "STORE", "--model", "mobilenet_v2", "--run", "RUN", "--device", "cpu"]
CONVERT = ["convert", "imagefolder", "SOURCE", "NEW"]
STATS = ["stats", "STORE", "--split", "train"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "freqprep has no command 'trian'; did you mean train?"),
        (["--verson"], "freqprep has no option --verson; did you mean --version?"),
        ([*TRAIN, "--chanels", "24"], "no option --chanels; did you mean --channels?"),
        (
            ["convert", "imagefolde", "SOURCE", "NEW"],
            "KIND must be imagefolder, imagenet, coco, parquet or webdataset",
        ),
        (["convert", "imagefolde", "SOURCE", "NEW"], "did you mean imagefolder?"),
        ([*CONVERT, "--geometry", "fitt"], "--geometry must be fit or crop, got 'fitt'; did you"),
        ([*CONVERT, "--precision", "int88"], "--precision must be int8, int16, compact or coarse"),
        ([*CONVERT, "--size", "5x"], "--size must be a whole number, got '5x'"),
        ([*CONVERT, "--size", ""], "--size must be a whole number, got ''"),
        ([*CONVERT, "--size"], "--size needs a value"),
        ([*CONVERT, "--json=1"], "--json takes no value"),
        ([*CONVERT, "--max-failures", "-1"], "must be a whole number of at least 0, got '-1'"),
        ([*CONVERT, "--jobs", "0"], "--jobs must be at least 1, got 0"),
        ([*CONVERT, "more"], "unexpected extra argument"),
        ([*CONVERT, "--classes", "SOURCE"], "cannot be read: Is a directory"),
        (["convert", "imagefolder", "SOURCE"], "STORE is missing: the store to make"),
        (["train", "STORE", "--run", "RUN"], "--model is missing: resnet50"),
        ([*TRAIN, "--grid", "abc"], "--grid must be a whole number, got 'abc'"),
        ([*TRAIN, "--lr", "much"], "--lr must be a number, got 'much'"),
        ([*TRAIN, "--lr", "nan"], "a learning rate of nan cannot be used"),
        ([*TRAIN, "--model", "mobilenetv2"], "did you mean mobilenet_v2?"),
        ([*TRAIN, "--preset", "shrt"], "did you mean short?"),
        ([*TRAIN, "--channels", "sqare-24"], "did you mean square-24?"),
        ([*TRAIN, "--channels", "Y_0_0"], "did you mean y_0_0?"),
        ([*TRAIN, "--channels", "y_9_9"], "'y_9_9': frequencies go from 0 to 7"),
        ([*TRAIN, "--train-split", "trian"], "did you mean train?"),
        ([*TRAIN, "--device", "gpu"], "did you mean cuda?"),
        ([*TRAIN, "--device", "cup"], "did you mean cpu?"),
        ([*TRAIN, "--threads", "0"], "--threads must be at least 1, got 0"),
        ([*STATS, "--by", "visble"], "did you mean visible?"),
        ([*STATS, "--budget", "sqare-24"], "did you mean square-24?"),
        ([*STATS, "--compare", "vall"], "did you mean val?"),
        ([*STATS, "--sample", "0"], "--sample must be a whole number of at least 1, got '0'"),
        ([*STATS, "--network", "nothing"], "there is no such file"),
        (["show", "STORE", "0", "--split", "vall"], "did you mean val?"),
    ],
)
def test_wrong_words_are_one_line_in_plain_english(call, source, store, tmp_path, words, said):
    paths = {"STORE": store, "SOURCE": source, "RUN": tmp_path / "run", "NEW": tmp_path / "new"}
    code, out, err = call(*(paths.get(word, word) for word in words))
    assert (code, out) == (2, "") and said in err, err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert not re.search(r"Value error|Input should|Errno|Traceback|pydantic|click", err)
    assert [*tmp_path.iterdir()] == []


def test_words_that_are_no_text_are_refused_by_name(store):
    done = synthetic.freqprep("show", store, b"\xff.jpg", "--split", "val")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")


def test_a_split_that_a_source_lacks_is_suggested_too(call, source, tmp_path):
    code, _, err = call("convert", "imagefolder", source, tmp_path / "new", "--split", "trian")
    assert code == 1 and "did you mean train?" in err


def test_what_is_given_in_place_of_a_store_or_a_run_is_named(call, store, source, tmp_path):
    import zarr

    run = tmp_path / "run"
    run.mkdir()
    (run / "model.json").write_text("{}")
    (tmp_path / "file").touch()
    zarr.create_group(tmp_path / "other.zarr")
    for path, what in (
        (tmp_path / "nothing", "there is no store"),
        (tmp_path / "file", "is a file, not a store"),
        (run, "is the folder of a training run, not a store"),
        (source, "is not a store (it has no zarr.json)"),
        (tmp_path / "other.zarr", "is a Zarr group, but not a freqprep store"),
    ):
        for words in (["info", path], ["verify", path], ["stats", path], ["show", path, "0"]):
            code, out, err = call(*words)
            assert (code, out) == (1, "") and str(path) in err and what in err
    for path, what in (
        (tmp_path / "nothing", "it does not exist"),
        (tmp_path / "file", "it is a file"),
        (store, "it is a store"),
        (source, "model.json cannot be read"),
    ):
        code, out, err = call("evaluate", path, store)
        assert (code, out) == (1, "") and f"{path} is not the folder of a run: {what}" in err, err


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_fits_80_columns_and_leaves_nothing_out(call, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = call(*command, "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "..." not in out.partition("Commands:")[2]
    alone = WHOLE_ALONE.issuperset(command) and command
    assert call(*command)[0] == (0 if alone else 2)  # the others' help again, on stderr


def test_commands_of_many_options_have_them_in_groups(call):
    for name, command in get_command(app).commands.items():
        _, out, _ = call(name, "--help")
        sections = re.findall(r"^(\w[\w ]*):$", out, re.MULTILINE)
        if sum(parameter.param_type_name == "option" for parameter in command.params) > 10:
            assert len(sections) >= 4, name
        assert len(sections) == len({*sections})
    _, out, _ = call("train", "--help")
    places = [out.index(f"\n{name}:\n") for name in ("Data", "Network", "Optimization", "Run")]
    assert all(before < after for before, after in itertools.pairwise(places))
    assert out.startswith("Usage: freqprep train STORE --model NAME --run DIR [OPTIONS]\n")
