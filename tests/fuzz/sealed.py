"""Mutants behind right checksums: a reader that stops at the checksum is seen no further.

Each takes a file apart, changes a part, and puts it together as its writer would: with the right
length, CRC or hash. Now and then (`SEALED`) it is left wrong, or all bytes are changed alike.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import google_crc32c
from fuzz.mutation import mutant, mutant_document
from numcodecs import zstd

from freqprep.storage.document_hash import HASH_KEY, with_hash

SEALED = 0.85
"""Share of mutants with right checksums."""

PNG = b"\x89PNG\r\n\x1a\n"
_DEFLATED = {b"IDAT": 0, b"zTXt": 3, b"iCCP": 3}
"""Chunks whose data are deflated, and about where that begins in those that are made here."""

_LONGEST = 2**20


def document(data: bytes, chance: random.Random) -> bytes:
    """Change a JSON file in its values or its bytes; it has its own hash again if it had one."""
    whole = json.loads(data)
    sealed = HASH_KEY in whole and chance.random() < SEALED
    if chance.random() < 0.2:
        changed = mutant(data, chance)
        try:
            found = json.loads(changed)
        except ValueError:
            return changed
    else:
        found = mutant_document(whole, chance)
    if sealed and isinstance(found, dict):
        found = with_hash(found)
    return json.dumps(found).encode()


def png(data: bytes, chance: random.Random) -> bytes:
    """Change, remove, repeat or swap chunks of a PNG; lengths and CRCs are right."""
    chunks = _png_chunks(data)
    if not chunks or chance.random() > SEALED:
        return mutant(data, chance)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at, kind = chance.randrange(len(chunks)), chance.random()
        if kind < 0.7:
            name, body = chunks[at]
            chunks[at] = name, _png_body(name, body, chance)
        elif kind < 0.8:
            chunks.insert(chance.randrange(len(chunks)), chunks[at])
        elif kind < 0.9:
            chunks[at] = chance.choice(chunks)[0], chunks[at][1]
        elif len(chunks) > 1:
            del chunks[at]
    return PNG + b"".join(_png_chunk(name, body) for name, body in chunks)


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(PNG)
    while data.startswith(PNG) and at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _png_body(name: bytes, body: bytes, chance: random.Random) -> bytes:
    begin = _DEFLATED.get(name)
    if begin is not None and chance.random() < 0.5:
        try:
            content = zlib.decompress(body[begin:])
        except zlib.error:
            return mutant(body, chance)
        return body[:begin] + zlib.compress(mutant(content, chance), 1)
    return mutant(body, chance)


def _png_chunk(name: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(name + body).to_bytes(4, "big")
    return len(body).to_bytes(4, "big") + name + body + checksum


def archive(
    data: bytes, chance: random.Random, change: Callable[[str, bytes, random.Random], bytes]
) -> bytes:
    """Change entries of a zip by a function of name and content; their CRCs are right."""
    if chance.random() > SEALED:
        return mutant(data, chance)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        entries = [(info.filename, file.read(info)) for info in file.infolist()]
    for _ in range(chance.choice((1, 1, 2, 3))):
        at, kind = chance.randrange(len(entries)), chance.random()
        name, content = entries[at]
        if kind < 0.85:
            entries[at] = name, change(name, content, chance)
        elif kind < 0.9:
            entries[at] = chance.choice(entries)[0], content
        elif len(entries) > 1:
            del entries[at]
    out = io.BytesIO()
    how = zipfile.ZIP_STORED if chance.random() < 0.9 else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(out, "w", how) as file:
        for name, content in dict(entries).items():
            file.writestr(name, content)
    return out.getvalue()


def frame(data: bytes, chance: random.Random) -> bytes:
    """Change a zstd frame: most often its content, else its own bytes."""
    if chance.random() < 0.3:
        return mutant(data, chance)
    changed = mutant(zstd.decompress(data), chance)
    return bytes(zstd.compress(changed[:_LONGEST] or b"\0", 1))


def with_crc32c(data: bytes) -> bytes:
    """Return bytes with the checksum that Zarr's codec appends."""
    return data + int(google_crc32c.value(data)).to_bytes(4, "little")


def shard(data: bytes, chance: random.Random, channels: int) -> bytes:
    """Change a chunk of a shard, or its index; both checksums are right."""
    if chance.random() > SEALED:
        return mutant(data, chance)
    body, index = data[: -16 * channels - 4], data[-16 * channels - 4 : -4]
    if chance.random() < 0.3:
        return body + with_crc32c(mutant(index, chance))
    spans = [struct.unpack_from("<QQ", index, 16 * channel) for channel in range(channels)]
    chunks = [body[offset : offset + length] for offset, length in spans]
    at = chance.randrange(channels)
    chunks[at] = with_crc32c(frame(chunks[at][:-4], chance))
    offset, entries = 0, b""
    for chunk in chunks:
        entries += struct.pack("<QQ", offset, len(chunk))
        offset += len(chunk)
    return b"".join(chunks) + with_crc32c(entries)


def lines(data: bytes, chance: random.Random) -> bytes:
    """Change the values of a line of a journal; its CRC-32 is right."""
    if chance.random() > SEALED:
        return mutant(data, chance)
    found = data.splitlines()
    at = chance.randrange(len(found))
    value: Any = json.loads(found[at].partition(b" ")[2])
    text = json.dumps(mutant_document(value, chance)).encode()
    found[at] = b"%08x " % zlib.crc32(text) + text
    return b"\n".join(found) + b"\n"


def record(data: bytes, chance: random.Random) -> bytes:
    """Change the first record of a binary journal; its length and CRC-32 are right."""
    if chance.random() > SEALED:
        return mutant(data, chance)
    size = int.from_bytes(data[:4], "little")
    head, body, behind = data[8:24], data[24 : 24 + size], data[24 + size :]
    if chance.random() < 0.3:
        head = mutant(head, chance)[:16].ljust(16, b"\0")
    else:
        body = _entry(body, chance)
    rest = head + body
    return struct.pack("<II", len(body), zlib.crc32(rest)) + rest + behind


def _entry(body: bytes, chance: random.Random) -> bytes:
    """Change the line of JSON inside an entry, or its numbers."""
    line, _, numbers = bytes(zstd.decompress(body)).partition(b"\n")
    if chance.random() < 0.5:
        return frame(body, chance)
    changed = json.dumps(mutant_document(json.loads(line), chance)).encode()
    return bytes(zstd.compress(changed + b"\n" + numbers, 1))
