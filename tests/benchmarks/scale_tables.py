"""Write the tables of docs/scale.md: ``python -m tests.benchmarks.scale_tables [--check]``.

With ``--check`` nothing is written: exit 1 where they are not what would be written. With any
other option, each of which sets a figure of the model, the tables are printed instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tests.benchmarks.scale_model import (
    COMMANDS,
    DATA_SETS,
    Costs,
    DataSet,
    Estimate,
    Model,
    Prices,
    Site,
    bytes_of,
    dollars,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
WORKERS = (1, 16, 256, 4096)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sizes_table(model: Model, data_sets: tuple[DataSet, ...], workers: tuple[int, ...]) -> str:
    names = list(bytes_of(model, data_sets[0]))
    rows = [
        (
            data.name,
            f"{data.images:,}",
            f"{data.shards:,}",
            *map(amount, bytes_of(model, data).values()),
        )
        for data in data_sets
    ]
    return table(("", "images", "shards", *names), rows)


def times_table(model: Model, data_sets: tuple[DataSet, ...], workers: tuple[int, ...]) -> str:
    rows = [
        (data.name, name, *(_time(model, estimate(model, data, count)) for count in workers))
        for data in data_sets
        for name, estimate in COMMANDS.items()
    ]
    return table(("", "command", *map(_cores, workers)), rows)


def _time(model: Model, estimate: Estimate) -> str:
    several = f", {estimate.shards_a_task} a task" if estimate.shards_a_task > 1 else ""
    impossible = "†" * (estimate.memory > model.site.machine_memory)
    return f"{duration(estimate.seconds)}{impossible} ({estimate.bottleneck}{several})"


def _cores(count: int) -> str:
    return f"{count:,} core{'s' * (count > 1)}"


def money_table(model: Model, data_sets: tuple[DataSet, ...], workers: tuple[int, ...]) -> str:
    rows = []
    for data in data_sets:
        month = bytes_of(model, data)["store"] / 1e9 * model.prices.gb_month
        for name, estimate in COMMANDS.items():
            found = [(estimate(model, data, count), count) for count in workers]
            price = [dollars(model, *one) for one in found]
            requests = f"{found[0][0].gets + found[0][0].puts:,}"
            rows.append(
                (
                    data.name,
                    name,
                    requests,
                    _dollars(price[0]["requests"]),
                    *(_dollars(one["cores"]) for one in price),
                )
            )
        rows.append((data.name, "a month of the store", "", _dollars(month), *[""] * len(workers)))
    header = ("", "command", "requests", "requests, storage", *map(_cores, workers))
    return table(header, rows)


def _dollars(value: float) -> str:
    return f"${value:,.2f}" if value < 100 else f"${value:,.0f}"


def amount(size: float) -> str:
    """Bytes with a decimal prefix."""
    for unit in ("B", "KB", "MB", "GB", "TB", "PB"):
        if size < 1000 or unit == "PB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if size >= 100 or unit == "B" else f"{size:.3g} {unit}"


def duration(seconds: float) -> str:
    for length, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:,.3g} {unit}"
    return f"{seconds:.2g} s"


TABLES = {"sizes": sizes_table, "times": times_table, "money": money_table}


def with_tables(page: str, model: Model) -> str:
    """Replace the text between the marks of each table."""
    for name, make in TABLES.items():
        begin, end = f"<!-- table: {name} -->\n", f"<!-- end: {name} -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n{make(model, DATA_SETS, WORKERS)}\n\n{end}{after}"
    return page


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.scale_tables", description=__doc__
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--images", type=int, help="of one data set, in place of the page's")
    parser.add_argument("--workers", type=int, help="cores, in place of the page's")
    for part in (Costs(), Site(), Prices()):
        for field in fields(part):
            default = getattr(part, field.name)
            name = f"--{field.name.replace('_', '-')}"
            parser.add_argument(name, type=type(default), help=f"now {default:,}")
    return parser


def main(arguments: list[str]) -> int:
    """Write, check or print; return the exit code."""
    given = {k: v for k, v in vars(_options().parse_args(arguments)).items() if v is not None}
    check = given.pop("check")
    if given:
        data = (DataSet("yours", given["images"]),) if "images" in given else DATA_SETS
        workers = (given["workers"],) if "workers" in given else WORKERS
        parts = (_set(part, given) for part in (Costs(), Site(), Prices()))
        model = Model(*parts)
        print("\n\n".join(make(model, data, workers) for make in TABLES.values()))
        return 0
    written = PAGE.read_text(encoding="utf-8")
    page = with_tables(written, Model())
    if not check:
        PAGE.write_text(page, encoding="utf-8")
    elif page != written:
        print(f"{PAGE} is not what the model says: run `make docs`", file=sys.stderr)
        return 1
    return 0


def _set(part: Any, given: dict[str, Any]) -> Any:
    return replace(part, **{f.name: given[f.name] for f in fields(part) if f.name in given})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
