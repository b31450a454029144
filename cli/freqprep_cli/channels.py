"""``freqprep channels``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from freqprep.errors import UsageError
from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, PUBLISHED, RULES, Selection, described
from freqprep.spectrum.channels import channels as named
from freqprep.storage.paths import AnyPath, as_path
from freqprep.store.reader import open_store
from freqprep.store.selection_costs import SelectionCost, selection_costs
from freqprep.store.selections import problems, saved_selections, select
from freqprep.store.split import Split
from freqprep.text.quantities import percent, plural, size
from freqprep.text.terminal import (
    columns,
    columns_of_terminal,
    on_one_line,
    paragraph,
    shortened,
    table,
    wrapped,
)
from freqprep_cli.options import Place
from freqprep_cli.output import print_json

_NAME_ROOM = 26
_OTHER_WAYS = (
    "Also channels by name (y_0_0,cb_0_0), a count (24: those of the most energy in a split) and "
    "FILE.json. --channels SEL lists the channels of one."
)


@dataclass(frozen=True)
class _Data:
    """Splits of a store to measure on; empty without a store."""

    store: AnyPath | None
    splits: Sequence[Split]


def channels(
    store: Annotated[
        Place | None,
        typer.Argument(
            parser=as_path,
            help="Store to measure on, whose saved selections are listed too.",
            metavar="STORE",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split to measure on; all by default.", metavar="S")
    ] = None,
    selection: Annotated[
        str | None,
        typer.Option(
            "--channels",
            help="Selection to list the channels of: a published one (square-24), a rule "
            "(triangle-12), channels (y_0_0,cb_0_0), a count, a saved name or a .json file.",
            metavar="SEL",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """List selections of channels, and their size in a store.

    Without a store: published selections and rules. With a store: also those saved in it, with the
    measured bytes per image and the number of ranges read from a shard.

    Example: freqprep channels photos.zarr --channels square-24
    """
    if store is None and split is not None:
        raise UsageError(f"--split {split} needs a store", "name the store as well")
    data = _opened(store, split)
    if selection is not None:
        (cost,) = selection_costs([_selected(selection, data, split)], data.splits)
        document = _document(cost, "asked for")
        if json:
            print_json({"store": store and str(store), **_measured(data), **document})
        else:
            typer.echo(_one(cost))
        return
    saved = {} if store is None else saved_selections(store)
    known = [*(named(name) for name in (*PUBLISHED, "all")), *saved.values()]
    costs = selection_costs(known, data.splits)
    damaged = [] if store is None else problems(store)
    if json:
        kinds = ["published"] * len(PUBLISHED) + ["all"] + ["saved"] * len(saved)
        print_json(
            {
                "store": store and str(store),
                **_measured(data),
                "selections": [_document(*pair) for pair in zip(costs, kinds, strict=True)],
                "rules": RULES,
                "problems": [{"where": where, "what": what} for where, what in damaged],
            }
        )
        return
    typer.echo(f"{_head(data)}{_table(costs, list(saved))}\n\n{table(RULES.items())}\n")
    for where, what in damaged:
        typer.echo(on_one_line(f"problem: {where} {what}"))
    typer.echo(paragraph(_OTHER_WAYS, hang=""))


def _opened(store: AnyPath | None, split: str | None) -> _Data:
    if store is None:
        return _Data(None, ())
    opened = open_store(store)
    if split is not None or not opened:
        return _Data(store, (opened.only(split),))
    return _Data(store, tuple(opened.values()))


def _selected(text: str, data: _Data, split: str | None) -> Selection:
    """The selection of --channels; a count needs a single split."""
    if data.store is not None and text.strip().isdecimal():
        return select(text, open_store(data.store).only(split))
    return select(text, data.splits[0] if data.splits else None)


def _measured(data: _Data) -> dict[str, Any]:
    names = [split.attributes.split for split in data.splits]
    return {"splits": names, "images": sum(int(split.valid.sum()) for split in data.splits)}


def _document(cost: SelectionCost, kind: str) -> dict[str, Any]:
    return {
        "name": cost.selection.name,
        "kind": kind,
        "channels": list(cost.selection.names),
        "count": len(cost.selection),
        "luma": cost.luma,
        "cb": cost.cb,
        "cr": cost.cr,
        "ranges": cost.ranges,
        "bytes_per_image": cost.bytes_per_image,
        "share": cost.share,
        "stored": cost.stored,
    }


def _head(data: _Data) -> str:
    if data.store is None:
        return ""
    measured = _measured(data)
    store = shortened(str(data.store), 40)
    names = shortened(", ".join(measured["splits"]), 30)
    return f"{names} of {store}: {measured['images']:,} images\n{_stored(data.splits)}"


def _stored(splits: Sequence[Split]) -> str:
    """State the channels of splits that store only some."""
    kept = {split.attributes.split: split.attributes.channels for split in splits}
    return "".join(
        paragraph(
            f"{shortened(name, 30)} stores {plural(len(channels), 'channel')}:"
            f" {described(channels)}"
        )
        + "\n"
        for name, channels in kept.items()
        if len(channels) < CHANNELS
    )


def _table(costs: Sequence[SelectionCost], saved: Sequence[str]) -> str:
    heads = ["selection", "channels", "Y + Cb + Cr", "ranges"]
    measured = any(cost.bytes_per_image is not None for cost in costs)
    rows = []
    for cost in costs:
        name = cost.selection.name
        mark = " (saved)" if name in saved else ""
        row = [shortened(name, _NAME_ROOM - len(mark)) + mark, str(len(cost.selection))]
        row += [_components(cost), "" if cost.ranges is None else str(cost.ranges)]
        if cost.bytes_per_image is not None:
            row += [size(cost.bytes_per_image), percent(cost.share, 2)]
        elif measured:
            row += ["not stored", ""]
        rows.append(row)
    return columns(heads + ["an image", "of all"] * measured, rows)


def _one(cost: SelectionCost) -> str:
    """One selection: its size, a map of its channels, their names."""
    lines = [
        f"{shortened(cost.selection.name, 60)}: {plural(len(cost.selection), 'channel')}",
        f"  Y + Cb + Cr  {_components(cost)}",
        f"  ranges       {cost.ranges} of a shard"
        if cost.stored
        else "  not stored in every split",
    ]
    if cost.bytes_per_image is not None:
        lines.append(
            f"  an image     {size(cost.bytes_per_image)}, {percent(cost.share, 2)} of all"
        )
    chosen = set(cost.selection.indices)
    lines += ["", "  " + "   ".join(name.capitalize().ljust(2 * BLOCK - 1) for name in COMPONENTS)]
    for v in range(BLOCK):
        cells = [
            " ".join(
                "#" if FREQUENCIES * component + BLOCK * v + h in chosen else "."
                for h in range(BLOCK)
            )
            for component in range(len(COMPONENTS))
        ]
        lines.append("  " + "   ".join(cells))
    lines[-BLOCK - 1] = lines[-BLOCK - 1].rstrip()
    names = wrapped(", ".join(cost.selection.names), columns_of_terminal())
    return "\n".join([*lines, "", *(line.replace(", ", ",") for line in names)])


def _components(cost: SelectionCost) -> str:
    return f"{cost.luma} + {cost.cb} + {cost.cr}"
