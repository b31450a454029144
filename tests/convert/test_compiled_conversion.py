"""Conversions with compiled code: when it is used, and the same store with and without it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic
from in_threads import together

from freqprep.compilation import can_compile, compiled
from freqprep.convert import shard_task
from freqprep.images.encoder import Encoder
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.spectrum import coding
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.numpy_coding import NumpyCoder
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.reader import open_store

ENCODING = Encoding(Geometry("fit", 32, None, "apply"), PRECISIONS["int8"])

with_numba = pytest.mark.skipif(not can_compile(), reason="Numba is not installed")

PROGRAM = """
import sys
from pathlib import Path
{before}
import freqprep.spectrum.coding as coding
from freqprep.convert import Request, convert
coding.MANY_IMAGES = 1
convert(Request("imagefolder", Path(sys.argv[1]), Path(sys.argv[2]), size=32, jobs=1))
print("compiled" if "freqprep.spectrum.compiled_coding" in sys.modules else "NumPy")
"""

NO_NUMBA = 'sys.modules["numba"] = None'


def ids(store: Path) -> list[str]:
    found = open_store(store)
    return [found[name].content_id for name in found]


def in_a_process(source: Path, store: Path, before: str = "", **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before), source, store],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


@with_numba
@pytest.mark.parametrize(("precision", "jobs"), [("int8", 1), ("int16", 2)])
def test_the_store_is_the_same_with_compiled_code(source, tmp_path, monkeypatch, precision, jobs):
    """Grey, broken and partial images, and a shard that is not full, are among them."""
    options = {"precision": PRECISIONS[precision], "jobs": jobs}
    plain = synthetic.make(source, tmp_path / "plain.zarr", **options)
    used = []
    monkeypatch.setattr(coding, "MANY_IMAGES", 1)
    monkeypatch.setattr(
        "freqprep.convert.shard_runs.compile_coding",
        lambda encoding: used.append(encoding) or shard_task.compile_coding(encoding),
    )
    made = synthetic.make(source, tmp_path / "compiled.zarr", **options)
    assert len(used) == 2  # splits
    assert ids(made) == ids(plain)


@pytest.mark.parametrize(
    ("before", "environment"),
    [(NO_NUMBA, {}), ("", {"NUMBA_DISABLE_JIT": "1"})],
    ids=["no Numba", "Numba switched off"],
)
def test_without_numba_numpy_does_it(source, store, tmp_path, before, environment):
    made = tmp_path / "made.zarr"
    assert in_a_process(source, made, before, **environment) == "NumPy"
    assert ids(made) == ids(store)


@with_numba
def test_functions_compile_where_no_folder_can_be_written():
    """As in an installation that nobody may write to: this file's folder cannot exist."""
    names = {"compiled": compiled}
    source = "@compiled\ndef increment(x):\n    return x + 1\n"
    exec(compile(source, "/proc/none/increment.py", "exec"), names)
    assert names["increment"](2) == 3


@with_numba
@pytest.mark.long
def test_a_process_compiles_and_the_next_one_loads(source, store, tmp_path):
    folder = tmp_path / "cache"
    written = []
    for made in (tmp_path / "first.zarr", tmp_path / "second.zarr"):
        assert in_a_process(source, made, NUMBA_CACHE_DIR=str(folder)) == "compiled"
        assert ids(made) == ids(store)
        written.append({path: path.stat().st_mtime_ns for path in folder.rglob("*.nb*")})
    assert written[0]
    assert written[0] == written[1]


@with_numba
def test_threads_encode_at_the_same_time():
    images = [synthetic.pixels(seed, 150, 200) for seed in range(6)]
    coder = coding.make_coder(PRECISIONS["int8"], compiled=True)

    def encode(pixels: np.ndarray) -> tuple[bytes, float]:
        out = np.zeros((CHANNELS, 19, 25), np.int8)
        for _ in range(20):
            sums = coder.encode(pixels, out)
        return out.tobytes(), sums.luma_squared_error

    assert together(*(lambda p=p: encode(p) for p in images)) == [encode(p) for p in images]


def test_few_images_stay_with_numpy(monkeypatch):
    assert not coding.worth_compiling(coding.MANY_IMAGES - 1)
    assert coding.worth_compiling(coding.MANY_IMAGES) is can_compile()
    monkeypatch.setattr(coding, "can_compile", lambda: False)
    assert not coding.worth_compiling(10**9)
    assert isinstance(Encoder(ENCODING)._coder, NumpyCoder)


@pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="Numba is not installed")
@pytest.mark.parametrize("compiles", [True, False])
def test_a_note_is_given_only_when_compiling_takes_long(monkeypatch, long_blocks, compiles):
    monkeypatch.setattr(shard_task, "is_compiling", lambda: compiles)
    monkeypatch.setattr(shard_task, "compile_coder", lambda precision: None)
    shard_task.compile_coding(ENCODING)
    assert len(long_blocks) == compiles
