"""Read epoch after epoch through a cache, and print a checksum of each batch.

Arguments: store, folder of the cache, its bytes, seed.
"""

import sys
import warnings

from test_loader_cached import FAR_APART, LANES, checksum

import freqprep

warnings.simplefilter("ignore", freqprep.streaming.misuse.DroppedRows)
url, folder, limit, seed = sys.argv[1:]
loader = freqprep.Loader(
    freqprep.open_store(url)["train"],
    FAR_APART,
    seed=int(seed),
    threads=3,
    cache=folder,
    cache_bytes=int(limit),
    **LANES,
)
while True:
    for batch in loader:
        print(checksum(batch), flush=True)
