"""The commands of the documentation: run on small data, or their options checked."""

import re
import shlex
from pathlib import Path

import pytest
import synthetic
from doc_pages import BLOCKS, PAGES, REFERENCE, ROOT, Block, prose

COMMANDS = REFERENCE["COMMAND"].commands
TYPED = [block for block in BLOCKS if block.language in ("sh", "console")]
RUN = [block for block in TYPED if block.marker is None]
NOT_RUN = [block for block in TYPED if block.marker and block.marker[0] == "not run"]

WRITING = {"convert": 2, "pack": 1}
"""Command -> place of the store that it makes among its arguments."""

OF_ALL_COMMANDS = {"--help", "--version", "--install-completion", "--show-completion"}

OF_OTHER_PROGRAMS = {
    *("--folder", "--record", "--seeds"),  # of the benchmarks
    *("--minutes", "--seconds", "--target"),  # of the faults and the fuzzing
    *("--no-binary", "--no-build-isolation", "--upgrade"),  # pip
    *("--memory-limit", "--num-cpus"),  # dask, ray
    "--strict",  # mypy
}

FAILING = {"notes.txt": 1}
"""Word of a command that shall fail -> its exit code."""


def typed(block: Block) -> list[list[str]]:
    """Words of each command of a block, without comments."""
    text = block.text.replace("\\\n", " ")
    lines = text.splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    words = (shlex.split(line, comments=True) for line in lines)
    return [line for line in words if line]


def of_freqprep(block: Block) -> list[list[str]]:
    """Arguments of each call of freqprep in a block, also by ``torchrun`` or a batch queue."""
    found = []
    for line in typed(block):
        texts = [word for word in line if word.startswith("freqprep ")]  # sbatch --wrap "..."
        launched = line[line.index("--") + 1 :] if "--" in line else line  # torchrun ... -- ...
        for words in (launched, *map(shlex.split, texts)):
            program = [word for word in words if not re.match(r"[A-Z_]+=", word)]
            if program[:1] == ["freqprep"]:
                found.append(program[1:])
    return found


@pytest.mark.parametrize("block", NOT_RUN, ids=str)
def test_commands_that_are_not_run_have_options_that_exist(block):
    for words in of_freqprep(block):
        if words[0] not in COMMANDS:
            assert words[0].startswith("--"), f"{block}: there is no freqprep {words[0]}"
            continue
        command = COMMANDS[words[0]]
        known = {name for option in command.params for name in option.opts}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given <= known | OF_ALL_COMMANDS, f"{block}: freqprep {words[0]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_named_in_the_text_exist(page):
    code = re.findall(r"`([^`\n]+)`", prose(page))
    named = {word for text in code for word in re.findall(r"(?<![\w-])--[a-z][\w-]*", text)}
    options = {name for command in COMMANDS.values() for one in command.params for name in one.opts}
    assert named <= options | OF_ALL_COMMANDS | OF_OTHER_PROGRAMS


@pytest.mark.parametrize("block", RUN, ids=str)
def test_commands_run(block, stand_ins, tmp_path):
    commands = typed(block)
    assert commands, f"{block} has no command: it is a block of text"
    for words in commands:
        program, name, *arguments = (
            re.sub(r"^/data/|^(\.\./)+shared/data/", _nearby, word) for word in words
        )
        assert program == "freqprep", f"{block}: mark it, {program} is not run here"
        made = arguments[WRITING[name]] if name in WRITING else None
        for given in stand_ins.named_in(" ".join(arguments)):
            if given != made:
                stand_ins.put(given, tmp_path)
        if "--retry-rejected" in arguments:
            synthetic.freqprep(name, *arguments[:-1], cwd=tmp_path)
        done = synthetic.freqprep(name, *arguments, cwd=tmp_path)
        expected = max((FAILING.get(word, 0) for word in arguments), default=0)
        assert done.returncode == expected, f"{block}: {shlex.join(words)}\n{done.stderr}"


def _nearby(match: re.Match[str]) -> str:
    return "data/" if match[0] == "/data/" else "shared/"


def test_a_stand_in_is_made_for_what_is_named(stand_ins, tmp_path):
    assert stand_ins.named_in("photos.zarr photos x/photos.zarr.log") == ["photos.zarr", "photos"]
    stand_ins.put("photos", tmp_path)
    assert (Path(tmp_path) / "photos/train/cat/chelsea.png").is_file()
