"""Readers of Zarr open a split without a warning, by the recipe of docs/how-to/python.md."""

import re

import numpy as np
import pytest
import xarray
import zarr

import freqprep


@pytest.fixture(scope="module")
def split(store) -> freqprep.Split:
    return freqprep.open_store(store)["train"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "look",
    [
        lambda path: zarr.open_group(path, mode="r").tree(),
        lambda path: zarr.open_group(path, mode="r").info_complete(),
        lambda path: list(zarr.open_group(path, mode="r").members(max_depth=None)),
        lambda path: zarr.open(path, mode="r")["coefficients"].info_complete(),
        lambda path: xarray.open_zarr(path),
        lambda path: xarray.open_zarr(path, consolidated=True, chunks=None),
        lambda path: xarray.open_dataset(path, engine="zarr"),
    ],
)
def test_a_split_is_opened_without_a_warning(split, look):
    assert str(look(split.path))


@pytest.mark.filterwarnings("error")
def test_the_recipes_run_and_give_what_the_split_gives(split, store, request, monkeypatch):
    text = (request.config.rootpath / "docs/how-to/python.md").read_text(encoding="utf-8")
    section = text[text.index("## With xarray") :]
    recipes = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(recipes) == 2
    names: dict[str, object] = {}
    for recipe in recipes:
        exec(recipe.replace('"photos.zarr', f'"{store}'), names)

    expected = np.full((len(split), *split.attributes.encoding.geometry.grid), np.nan)
    expected[split.valid] = split.read(split.valid, "y_0_0")[:, 0]
    np.testing.assert_array_equal(names["scaled"], expected)
    np.testing.assert_array_equal(names["dc"][split.valid], expected[split.valid])
    np.testing.assert_allclose(names["brightness"], expected.mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(names["few"], split.read(range(8), ["y_0_0", "cb_0_0"]))
    assert names["luma"].sizes["channel"] == 64
    assert names["table"]["key"].tolist() == list(split.keys)
    np.testing.assert_array_equal(names["first"]["coefficients"], split.read(0)[0])
