"""freqprep: images as frequency channels, for training vision networks from them.

>>> import freqprep
>>> store = freqprep.open_store("flowers.zarr")  # doctest: +SKIP
>>> store["train"].read([0, 1], "square-24").shape  # doctest: +SKIP
(2, 24, 64, 64)
>>> freqprep.channels("paper-6").names
('y_0_0', 'y_0_1', 'y_1_0', 'y_1_1', 'cb_0_0', 'cr_0_0')
"""

from freqprep.errors import FreqprepError
from freqprep.spectrum.channels import Selection
from freqprep.store.reader import Split, Store, open_store
from freqprep.store.selections import select as channels
from freqprep.streaming.batch import Batch
from freqprep.streaming.dataset import Dataset
from freqprep.streaming.loader import Loader

__all__ = [
    "Batch",
    "Dataset",
    "FreqprepError",
    "Loader",
    "Selection",
    "Split",
    "Store",
    "channels",
    "open_store",
]
__version__ = "0.2.0"
