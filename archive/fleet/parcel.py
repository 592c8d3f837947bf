"""What a machine posts to its centre, as bytes. Pure.

A parcel is zlib: one JSON line (the head), then the cycles' texts, end to end, byte for byte as they stand in the journal.
The head: {"format": 1, "uid", "name", "machine", "now", "version", "waiting", "texts": [bytes of each...],
"rows": {kind: [[column...]...]}, "policy"}. Whatever comes in is hostile until it has passed `unpack`.
"""

import json
import zlib
from typing import NamedTuple

FORMAT = 1
MOST_BYTES = 1 << 20  # as posted
MOST_UNPACKED = 32 << 20
MOST_TEXTS = 120
MOST_ROWS = 20_000
_TEXTS = {"uid": 64, "name": 255, "machine": 64, "version": 40}


class ParcelError(Exception):
    """This is no parcel: says why."""


class Head(NamedTuple):
    uid: str  # the machine's own random number (host.uid)
    name: str  # what it calls itself
    machine: str  # a hash of its machine-id, or ''
    now: int  # its clock
    version: str
    waiting: int  # texts that it has yet to send after these
    rows: dict[str, list[list[object]]]
    policy: str = ""  # the tag of the centre's policy that it follows; older machines say none


class Parcel(NamedTuple):
    head: Head
    texts: list[bytes]


def pack(parcel: Parcel, level: int = 6) -> bytes:
    head = {"format": FORMAT, **parcel.head._asdict(), "texts": [len(text) for text in parcel.texts]}
    line = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return zlib.compress(b"\n".join([line, b"".join(parcel.texts)]), level)


def unpack(body: bytes) -> Parcel:
    """Raises ParcelError, and never makes more than MOST_UNPACKED bytes of what came."""
    if len(body) > MOST_BYTES:
        raise ParcelError(f"has {len(body)} bytes; at most {MOST_BYTES} are taken")
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(body, MOST_UNPACKED)
    except zlib.error as error:
        raise ParcelError(f"is not compressed as it should be: {error}") from None
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise ParcelError(f"is cut, or unpacks to more than {MOST_UNPACKED} bytes")
    line, newline, rest = raw.partition(b"\n")
    if not newline:
        raise ParcelError("has no head")
    try:
        said = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ParcelError("its head is not JSON") from None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise ParcelError(f"is not of format {FORMAT}: upgrade the older of the two Vigies")
    return Parcel(_head(said), _texts(said.get("texts"), rest))


def _head(said: dict[str, object]) -> Head:
    for name, longest in _TEXTS.items():
        value = said.get(name)
        if not isinstance(value, str) or len(value) > longest or not value.isprintable():
            raise ParcelError(f"{name}: expected a text of at most {longest} characters")
    if not said["uid"]:
        raise ParcelError("uid: is empty")
    return Head(
        str(said["uid"]), str(said["name"]), str(said["machine"]), _whole(said, "now"), str(said["version"]),
        _whole(said, "waiting"), _rows(said.get("rows")), _tag(said.get("policy", "")),
    )  # fmt: skip


def _whole(said: dict[str, object], name: str) -> int:
    value = said.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**40:
        raise ParcelError(f"{name}: expected a whole number")
    return value


def _tag(said: object) -> str:
    if not isinstance(said, str) or len(said) > 64 or not said.isprintable():
        raise ParcelError("policy: expected a text of at most 64 characters")
    return said


def _rows(said: object) -> dict[str, list[list[object]]]:
    if not isinstance(said, dict) or not all(isinstance(rows, list) for rows in said.values()):
        raise ParcelError("rows: expected lists by kind")
    if sum(len(rows) for rows in said.values()) > MOST_ROWS:
        raise ParcelError(f"rows: more than {MOST_ROWS}")
    if not all(isinstance(row, list) for rows in said.values() for row in rows):
        raise ParcelError("rows: expected a list of columns each")
    return said


def _texts(sizes: object, rest: bytes) -> list[bytes]:
    if not isinstance(sizes, list) or not all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in sizes):
        raise ParcelError("texts: expected their sizes")
    if len(sizes) > MOST_TEXTS:
        raise ParcelError(f"texts: {len(sizes)}; at most {MOST_TEXTS} are taken")
    if sum(sizes) != len(rest):
        raise ParcelError(f"texts: their sizes add up to {sum(sizes)} bytes; there are {len(rest)}")
    found, place = [], 0
    for size in sizes:
        found.append(rest[place : place + size])
        place += size
    return found
