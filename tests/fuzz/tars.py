"""Mutants of tar archives, whose headers have right checksums."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable

from fuzz.mutation import mutant
from fuzz.sealed import SEALED

_BLOCK = tarfile.BLOCKSIZE
_CHECKSUM = slice(148, 156)
_SIZE = slice(124, 136)
_SIZES = (b"%011o\0", b"%012o", b"%o ", b"-%010o\0")
_NUMBERS = (0, 1, 511, 512, 513, 2**20 + 1, 2**31, 8**11 - 1)
_KINDS = b"0123456789gxXLKSDMNV\0"
_KEYS = (
    b"path", b"linkpath", b"size", b"mtime", b"uid", b"hdrcharset", b"charset", b"comment",
    b"GNU.sparse.major", b"GNU.sparse.minor", b"GNU.sparse.name", b"GNU.sparse.map",
    b"GNU.sparse.numblocks", b"GNU.sparse.size", b"GNU.sparse.realsize", b"GNU.sparse.offset",
    b"SCHILY.realsize",
)  # fmt: skip
_VALUES = (
    b"", b"0", b"1", b"-1", b"513", b"99999999999999999999", b"1e3", b"nan", b"BINARY", b"\xff\xfe",
    b"../../x", b"/etc/passwd", b"a" * 3000, b"0,0,0,512", b"1,", b"4.jpg", b"\0", b"x\ny",
)  # fmt: skip


def tar(data: bytes, chance: random.Random) -> bytes:
    """Change headers of a tar: fields, kinds, sizes, and headers that come before others."""
    if chance.random() > SEALED:
        return mutant(data, chance)
    found = data
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = _headers(found)
        if not places:
            break
        at = chance.choice(places)
        found = _CHANGES[chance.randrange(len(_CHANGES))](found, at, chance)
    return found


def _headers(data: bytes) -> list[int]:
    """Where headers are whose checksum is right, however they were reached."""
    found = []
    for at in range(0, len(data) - _BLOCK + 1, _BLOCK):
        block = data[at : at + _BLOCK]
        if any(block) and sealed(block) == block:
            found.append(at)
    return found


def sealed(block: bytes) -> bytes:
    """Return a header with its checksum."""
    total = sum(block) - sum(block[_CHECKSUM]) + 8 * 32
    return block[: _CHECKSUM.start] + b"%06o\0 " % total + block[_CHECKSUM.stop :]


def _put(data: bytes, at: int, block: bytes) -> bytes:
    return data[:at] + sealed(block) + data[at + _BLOCK :]


def _bytes(data: bytes, at: int, chance: random.Random) -> bytes:
    block = mutant(data[at : at + _BLOCK], chance)[:_BLOCK].ljust(_BLOCK, b"\0")
    return _put(data, at, block)


def _kind(data: bytes, at: int, chance: random.Random) -> bytes:
    block = bytearray(data[at : at + _BLOCK])
    block[156] = chance.choice(_KINDS)
    return _put(data, at, bytes(block))


def _size(data: bytes, at: int, chance: random.Random) -> bytes:
    block, number = bytearray(data[at : at + _BLOCK]), chance.choice(_NUMBERS)
    if chance.random() < 0.4:  # base 256, which may be negative
        first = chance.choice((0x80, 0xFF))
        field = bytes([first]) + chance.getrandbits(8 * chance.randrange(12)).to_bytes(11, "big")
    else:
        field = chance.choice(_SIZES) % number
    block[_SIZE] = field[:12].ljust(12, b"\0")
    return _put(data, at, bytes(block))


def _before(data: bytes, at: int, chance: random.Random) -> bytes:
    """Put another header before one: of pax, of GNU's long names, or of a kind that is drawn."""
    kind = chance.choice((b"x", b"x", b"g", b"L", b"K", bytes([chance.choice(_KINDS)])))
    if kind in (b"x", b"g"):
        body = b"".join(_pax(chance) for _ in range(chance.choice((1, 1, 2, 5))))
    else:
        body = chance.choice(_VALUES) + b"\0" * chance.randrange(2)
    info = tarfile.TarInfo("extra")
    info.size = len(body) if chance.random() < 0.9 else chance.choice(_NUMBERS)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[:_BLOCK])
    block[156] = kind[0]
    padded = body + b"\0" * (-len(body) % _BLOCK)
    times = chance.choice((1, 1, 1, 3, 200))
    return data[:at] + (sealed(bytes(block)) + padded) * times + data[at:]


def _pax(chance: random.Random) -> bytes:
    text = b" " + chance.choice(_KEYS) + b"=" + chance.choice(_VALUES) + b"\n"
    length = len(text) + len(str(len(text) + 2))
    if chance.random() < 0.15:
        length = chance.choice((0, 1, -1, 5, 10**6, 10**18))
    return str(length).encode() + text


def _repeated(data: bytes, at: int, chance: random.Random) -> bytes:
    return data[:at] + data[at : at + _BLOCK * chance.choice((1, 2, 4))] + data[at:]


def _image(data: bytes, at: int, chance: random.Random) -> bytes:
    """Change bytes behind a header: of an image, a label or an inner archive."""
    begin = at + _BLOCK
    body = mutant(data[begin : begin + _BLOCK], chance)
    return data[:begin] + body[:_BLOCK].ljust(_BLOCK, b"\0") + data[begin + _BLOCK :]


_CHANGES: tuple[Callable[[bytes, int, random.Random], bytes], ...] = (
    _bytes, _bytes, _kind, _size, _size, _before, _before, _before, _repeated, _image,
)  # fmt: skip


def inner(data: bytes, chance: random.Random) -> bytes:
    """Change a tar inside a tar, whose header states the new length."""
    if chance.random() < 0.3:
        return tar(data, chance)
    with tarfile.open(fileobj=io.BytesIO(data)) as outer:
        members = [(info, outer.extractfile(info).read()) for info in outer]  # type: ignore[union-attr]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as outer:
        for info, content in members:
            changed = tar(content, chance)
            info.size = len(changed)
            outer.addfile(info, io.BytesIO(changed))
    return out.getvalue()
