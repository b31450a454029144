"""The page of all situations."""

from __future__ import annotations

from pathlib import Path

from converting import CONVERTING
from in_buckets import IN_BUCKETS
from naming import NAMING
from reading import READING
from situation import Situation
from stand_ins import StandIns
from trained import TRAINING

HEAD = """\
# What can go wrong

Messages that you may meet, why, and what to do. Every error says what is wrong, where, and,
behind the semicolon, the next thing to do; this page adds the reason. Look for a word of your
message.

Written by `make docs`: each situation is made on small data and run, so the messages are those of
this version; `make check` compares. Your paths stand in place of `/data`. [Exit
codes](how-to/scripts.md#exit-codes) are the same for all commands. Not here are: images that are
rejected ([reasons](how-to/images.md)), [layouts of folders](how-to/layouts.md#image-folders) and
[of annotations](how-to/layouts.md#annotations), [entries of annotation
files](how-to/convert.md#convert-coco), and [contents of tar
shards](how-to/tables.md#convert-tar-shards), which have tables of their own, and [hostile
files](robustness.md).
"""

SECTIONS: dict[str, tuple[Situation, ...]] = {
    "Names and options": NAMING,
    "Converting": CONVERTING,
    "Reading": READING,
    "Training, and trained networks": TRAINING,
    "Buckets and web servers": IN_BUCKETS,
}

TAIL = """\
## Without a message

### Training on a CPU takes many times as long as expected

Threads wait for each other: where other work keeps a core busy, two are slower than one.

**Do:** `OMP_NUM_THREADS=1`, or the number of idle cores. With `pip install 'freqprep[compiled]'`
crops take a fifth to a twelfth of the time. Each epoch says whether [data, augmentation or the
network](how-to/classifier.md#read-the-files-of-a-run) limits it.

### A figure differs from what this documentation shows

Networks that are trained on another processor, or with another build of PyTorch, end a little
elsewhere. Stores do not: the same images and options give the same content id.

**Do:** compare content ids (`freqprep info`). If these differ, so do the images, the options, or
a library that decodes (`versions` in the store's `zarr.json`).
"""


def page(folder: Path) -> str:
    """The whole of docs/what-can-go-wrong.md, made in a folder."""
    stand_ins = StandIns(folder)
    parts = [HEAD]
    for heading, situations in SECTIONS.items():
        parts.append(f"## {heading}\n")
        parts += [one.section(folder / "work", stand_ins) for one in situations]
    return "\n".join([*parts, TAIL])
