"""Every example of the how-to that uses another package runs, as it stands there."""

import re
from pathlib import Path

import pytest
import synthetic
import torch
from given import import_torchvision

HOW_TO = Path(__file__).resolve().parents[2] / "docs/how-to/stream.md"
PACKAGES = {
    "In Lightning": "lightning",
    "In a Hugging Face Trainer": "transformers",
    "With Accelerate": "accelerate",
    "With timm": "timm",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("how_to")
    source = synthetic.image_folder(folder / "source", {"train": 70, "val": 20}, corrupt=1)
    return synthetic.make(source, folder / "photos.zarr", size=64)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("heading", PACKAGES)
def test_an_example_runs(heading, store, tmp_path, monkeypatch):
    import_torchvision()
    pytest.importorskip(PACKAGES[heading], reason="pip install 'freqprep[frameworks]'")
    section = HOW_TO.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    (tmp_path / "photos.zarr").symlink_to(store)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    found: dict = {}
    exec(compile(code, heading, "exec"), found)
    loader = found.get("train", found.get("loader"))
    assert loader.epoch == 2
