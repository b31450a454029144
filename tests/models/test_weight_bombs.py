"""Archives of weights that state more than any network has are refused before they are unpacked."""

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from freqprep.errors import UsageError
from freqprep.models import weight_files
from freqprep.models.weight_files import load_torch_file, read_tensors

pytest.importorskip("torch")


def bomb(path: Path, zeros: int) -> None:
    """Write an archive of one entry that unpacks to many zeros."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (zeros,)}
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("a.npy", "w") as entry:
        np.lib.format.write_array_header_1_0(entry, header)
        for _ in range(zeros >> 20):
            entry.write(bytes(2**20))


@pytest.mark.parametrize("name", ["weights.npz", "weights.pt", "weights.pth"])
def test_a_bomb_is_refused_by_what_it_states(tmp_path, monkeypatch, name):
    monkeypatch.setattr(weight_files, "_MOST_BYTES", 2**25)
    path = tmp_path / name
    bomb(path, 2**26)
    assert path.stat().st_size < 2**17
    tracemalloc.start()
    with pytest.raises(UsageError, match=r"unpacks to 67\.1 MB, and no network"):
        read_tensors(path)
    with pytest.raises(ValueError, match=r"unpacks to 67\.1 MB"):
        load_torch_file(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_what_is_within_the_limit_is_read(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez_compressed(path, a=np.zeros(2**20, np.float32))
    assert read_tensors(path)["a"].shape == (2**20,)
