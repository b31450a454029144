"""A stdout that is full, closed or read in part: a named error, or a quiet end."""

import subprocess
from pathlib import Path

import pytest
import synthetic

COMMANDS = {
    "info": ["info", "STORE"],
    "info as JSON": ["info", "STORE", "--json"],
    "channels": ["channels"],
    "verify": ["verify", "STORE"],
    "help": ["--help"],
    "version": ["--version"],
}


def words_of(name: str, store: Path) -> list[str | bytes]:
    return synthetic.command(*(store if word == "STORE" else word for word in COMMANDS[name]))


def run(words: list[str | bytes], redirection: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_behind_stdout_is_named(store, name):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    done = run(words_of(name, store), "> /dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: stdout cannot be written: No space left on device;"
        " free some space, or send the output elsewhere"
    )
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize("name", ["info", "version"])
def test_a_closed_stdout_is_named(store, name):
    done = run(words_of(name, store), ">&-")
    assert done.returncode == 1
    assert done.stderr.startswith("error: stdout cannot be written: Bad file descriptor")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["info as JSON", "channels"])
def test_a_reader_that_ends_first_ends_it_quietly(store, name):
    done = run(words_of(name, store), "| true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = run(words_of(name, store), "| head -n 1")
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""


def test_a_closed_stderr_changes_nothing_on_stdout(store):
    whole = run(words_of("info as JSON", store), "")
    done = run(words_of("info as JSON", store), "2>&-")
    assert (done.returncode, done.stdout) == (0, whole.stdout)
    refused = run(synthetic.command("info", "nothing.zarr"), "2>&-")
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", "")


def test_no_file_takes_the_number_of_a_closed_stream(source, tmp_path):
    words = ["convert", "imagefolder", source, tmp_path / "s.zarr", "--size", "32", "--jobs", "1"]
    done = run(synthetic.command(*words), ">&- 2>&-")
    assert done.returncode in (1, 3)
    assert synthetic.freqprep("verify", tmp_path / "s.zarr").returncode == 0
