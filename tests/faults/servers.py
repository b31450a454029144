"""An object store that refuses, ends connections, and answers with what is not the object's."""

from __future__ import annotations

import random

from faults.sandbox import Ended, Sandbox
from faults.shortage import check_named
from faults.tally import FILES, LOST, SAID, WRONG, Finding, Tally
from faults.works import Kit
from object_servers import CREDENTIALS
from slow_server import Fault, SlowServer
from synthetic import MAIN

BUSY = ("503", "500", "cut", "reset", "stall")
LYING = ("short", "flip", "stale", "whole")

# A client that does not wait for long, and a lease that ends soon.
QUICK = """
from datetime import timedelta
from freqprep.storage import object_client
from freqprep.store import lease
lease.TIMING = lease.Timing(renewal=0.2, life=1.0, look=0.1)
object_client._LIMITS["read_timeout"] = timedelta(seconds=1)
object_client._RETRIES["max_retries"] = 4
object_client._RETRIES["backoff"] = {
    "init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=9), "base": 2
}
"""
READ = """
import hashlib, sys
import numpy as np
import freqprep
from freqprep.errors import FreqprepError
try:
    for name, split in freqprep.open_store(sys.argv[1]).items():
        codes = split.read_codes(split.valid)
        parts = (codes, split.labels, split.valid, split.sizes)
        hashes = [hashlib.sha256(np.ascontiguousarray(part)).hexdigest() for part in parts]
        print(name, split.content_id, len(split), *hashes, split.keys[0], split.keys[-1])
except FreqprepError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""


def trial(kit: Kit, chance: random.Random, tally: Tally, lying: bool) -> None:
    """Convert into a store of a bad server, go on when it is good, read when it is bad again."""
    work, server = kit.work("folder"), kit.server
    with kit.sandbox() as box:
        box.variables |= {**CREDENTIALS, "AWS_ENDPOINT_URL": server.url}
        prefix = f"{box.folder.name}-{chance.getrandbits(60):x}/out.zarr"
        url = f"s3://slow/{prefix}"
        words = [word if not word.startswith("OUT/") else url for word in work.words]
        ended = _under_faults(server, chance, tally, lying, "writing", box, words, QUICK + MAIN)
        _check_objects(kit, prefix, whole=ended.code == work.code)
        if ended.code != work.code:
            check_named(ended)
            tally.named += 1
            ended = box.run(*words, "--resume", program=QUICK + MAIN)
            tally.recovered += 1
            if ended.code != work.code:
                raise Finding(SAID, f"exit code {ended.code}: {ended.err[-600:]}")
            _check_objects(kit, prefix, whole=True)
        expected = kit.kept("read", lambda: box.run(kit.store, program=READ).out)
        ended = _under_faults(server, chance, tally, lying, "reading", box, [url], QUICK + READ)
        if ended.code:
            check_named(ended)
            tally.named += 1
        elif ended.out != expected:
            raise Finding(WRONG, f"read {ended.out!r}, not {expected!r}")


def _under_faults(
    server: SlowServer,
    chance: random.Random,
    tally: Tally,
    lying: bool,
    what: str,
    box: Sandbox,
    words: list[str],
    program: str,
) -> Ended:
    """Run a command while the server has drawn faults."""
    kinds = LYING if lying else BUSY
    faults = []
    for _ in range(chance.choice((1, 2))):
        kind = chance.choice(kinds)
        times = chance.choice((1, 2)) if kind == "stall" else chance.choice((1, 3, 10, None))
        methods = chance.choice((("GET", "HEAD"), ("PUT",), Fault.methods))
        if kind in LYING:
            methods = ("GET",)
        faults.append(Fault(kind, chance.randrange(1, 30), times, methods))
    server.behave(*faults)
    ended = box.run(*words, program=program)
    server.behave()
    for fault in faults:
        tally.injected[f"{what}: {fault.what}"] += 1
    return ended


def _check_objects(kit: Kit, prefix: str, whole: bool) -> None:
    """Raise a finding unless the splits with a manifest, or all, have the local store's bytes."""
    objects = kit.server.objects().items()
    found = {key.removeprefix(f"{prefix}/"): md5 for key, md5 in objects if f"{prefix}/" in key}
    for split in ("train", "val"):
        if whole or f"{split}/manifest.json" in found:
            for name, md5 in kit.hashes.items():
                if name.startswith(f"{split}/") and found.get(name) != md5:
                    kind = WRONG if name in found else LOST
                    raise Finding(kind, f"{name} of a split with a manifest")
    if whole and (more := sorted(found.keys() - kit.hashes.keys())):
        raise Finding(FILES, f"objects beside the store: {more[:5]}")
