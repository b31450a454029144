"""Memory of planning tables: it grows with their files and row groups, not with their rows."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import table_rows

ROWS, TIMES, ROWS_A_FILE, GROUP = 40_000, 6, 20_000, 2000
BYTES_A_ROW = 5
PROGRAM = """
import json, sys, tracemalloc
from pathlib import Path
import pyarrow
from freqprep import ragged
from freqprep.convert import listed_again, planning
from freqprep.convert.planning import discover, plan_split
from freqprep.convert.request import Request
from freqprep.sources import Classes
from freqprep.storage import repeated_rows, scratch
from freqprep.store import plan as plans

# What is kept in memory below a limit is to be small beside what grows.
scratch.IN_MEMORY, repeated_rows._IN_MEMORY, plans._ROWS_AT_ONCE = 2**16, 2**12, 2**14
ragged._ROWS_OF_A_BLOCK = listed_again._ROWS_AT_ONCE = planning._ROWS_AT_ONCE = 2**12
folder = Path(sys.argv[1])
request = Request("parquet", folder / sys.argv[2], folder / "s.zarr", size=8, jobs=1)
tracemalloc.start()
found = discover(request)
other = Classes(found.classes.ids[::-1], found.classes.names[::-1])
plan = plan_split(request, found.listings["train"], found.classes, other)
planned = tracemalloc.get_traced_memory()[1]
plans.save_plan(plan, folder)
tracemalloc.reset_peak()  # NumPy writes arrays by 16 MB, more than all of these
plan = plans.load_plan(folder)
rows = 0
for _, index in plan.blocks():
    rows += len(plan.listing.keys.take(index)) + 0 * len(plan.listing.labels[index])
peak = max(planned, tracemalloc.get_traced_memory()[1])
print(json.dumps([rows, peak, pyarrow.default_memory_pool().max_memory()]))
"""


@pytest.fixture(scope="module")
def peaks(tmp_path_factory) -> list[list[int]]:
    """Rows, and the peaks of Python with NumPy and of Arrow, for few and for many rows."""
    folder, found = tmp_path_factory.mktemp("tables"), []
    for rows in (ROWS, ROWS * TIMES):
        table_rows.write(folder / str(rows), rows, GROUP, ROWS_A_FILE)
        words = [sys.executable, "-c", PROGRAM, str(folder), str(rows)]
        root = Path(__file__).parents[2]
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=300, check=False, cwd=root
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


@pytest.mark.parametrize("whose", [1, 2], ids=["Python and NumPy", "Arrow"])
def test_rows_take_next_to_no_memory(peaks, whose):
    few, many = peaks
    assert (few[0], many[0]) == (ROWS, ROWS * TIMES)
    assert many[whose] - few[whose] < BYTES_A_ROW * (many[0] - few[0])
