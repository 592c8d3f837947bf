"""A column of integers in few bytes, and back, without loss. Pure: what is stored where is archive/pack.py's business.

What is tried, and the smallest kept: the numbers less the least of them, their differences, and the differences of those;
always divided by what divides all of them (kilobytes, hundredths, pages). The bytes of one rank then stand together
(all the lowest, all the next ...), because the high ones hardly ever change, and are deflated. Decoding is array, slice
and accumulate, which run in C: a day of minutes takes a fifth of a millisecond.

    column = order, varint width, zigzag varint start of each order, varint divisor, varint length, bytes
"""

import sys
import zlib
from array import array
from itertools import accumulate, pairwise
from math import gcd

PLAIN, DEFLATED = 0, 8  # added to the order: how the bytes stand
ORDERS = 3
WIDEST = 8
_SMALL = [(n >> 1) ^ -(n & 1) for n in range(256)]  # unzigzag of what one byte holds
_TYPES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class TooWide(Exception):
    """A difference that no 8 bytes hold: the caller writes it another way."""


class Malformed(Exception):
    """Bytes that no column was written as."""


def encode(numbers: list[int]) -> bytes:
    """At least one number, each within 64 bits. Raises TooWide where all orders are."""
    best = b""
    for order in range(min(ORDERS, len(numbers))):
        try:
            found = _encoded(numbers, order)
        except TooWide:
            continue
        if not best or len(found) < len(best):
            best = found
        if len(found) < 16:  # nothing left to win
            break
    if not best:
        raise TooWide
    return best


def decode(raw: bytes, place: int, count: int) -> tuple[list[int], int]:
    """(the `count` numbers of the column that begins at `place`, where the next one begins). Raises Malformed."""
    try:
        return _decoded(raw, place, count)
    except (IndexError, ValueError, OverflowError, zlib.error) as error:
        raise Malformed(str(error)) from error


def _encoded(numbers: list[int], order: int) -> bytes:
    starts = []
    for _ in range(order):
        starts.append(numbers[0])
        numbers = [b - a for a, b in pairwise(numbers)]
    low = 0 if order else min(numbers)
    if low:
        numbers = [number - low for number in numbers]
    divisor = gcd(*numbers) or 1
    # The first differences of a column of one divisor have it too, so the starts need none.
    if divisor > 1:
        numbers = [number // divisor for number in numbers]
    if order:
        numbers = [(number << 1) if number >= 0 else ((-number << 1) - 1) for number in numbers]
    width = (max(numbers).bit_length() + 7) // 8
    if width > WIDEST:
        raise TooWide
    body = _planes(numbers, width)
    squeezed = _deflated(body)
    form = order
    if len(squeezed) < len(body):
        form, body = order + DEFLATED, squeezed
    head = bytearray((form, width))
    for start in (*starts, low):
        varint(head, zigzag(start))
    varint(head, divisor)
    varint(head, len(body))
    return bytes(head) + body


def _decoded(raw: bytes, place: int, count: int) -> tuple[list[int], int]:
    form, width = raw[place], raw[place + 1]
    order = form & ~DEFLATED
    if order >= ORDERS or width > WIDEST:
        raise Malformed(f"a column of order {order} and width {width}")
    starts, place = [], place + 2
    for _ in range(order + 1):
        number, place = read_varint(raw, place)
        starts.append(unzigzag(number))
    low = starts.pop()
    divisor, place = read_varint(raw, place)
    size, place = read_varint(raw, place)
    body = raw[place : place + size]
    kept = count - order
    if form & DEFLATED:
        unpacking = zlib.decompressobj(-15)
        body = unpacking.decompress(body, width * kept + 1)
    if kept < 0 or len(body) != width * kept:
        raise Malformed("a column is cut")
    if not width:
        return _even(starts, low, count), place + size
    numbers = _numbers(body, width, kept)
    if order:
        numbers = [_SMALL[n] if n < 256 else (n >> 1) ^ -(n & 1) for n in numbers] if width > 1 else (
            list(map(_SMALL.__getitem__, numbers))
        )  # fmt: skip
    if divisor > 1:
        numbers = list(map(divisor.__mul__, numbers))
    if low:
        numbers = list(map(low.__add__, numbers))
    for start in reversed(starts):
        numbers = list(accumulate(numbers, initial=start))
    return numbers, place + size


def _even(starts: list[int], low: int, count: int) -> list[int]:
    """A column whose last differences are all nought: one number, or as far from one to the next everywhere."""
    if len(starts) < ORDERS - 1 or not starts[1]:
        return [starts[0] if starts else low] * count
    return list(range(starts[0], starts[0] + starts[1] * count, starts[1]))


def _planes(numbers: list[int], width: int) -> bytes:
    """The lowest byte of every number, then the next of every number ..."""
    if not width:
        return b""
    size = _room(width)
    cells = array(_TYPES[size], numbers)
    if sys.byteorder == "big":
        cells.byteswap()
    raw = cells.tobytes()
    return b"".join(raw[rank::size] for rank in range(width))


def _numbers(body: bytes, width: int, count: int) -> list[int]:
    if width == 1:
        return list(body)
    size = _room(width)
    raw = bytearray(size * count)
    for rank in range(width):
        raw[rank::size] = body[rank * count : (rank + 1) * count]
    cells = array(_TYPES[size])
    cells.frombytes(bytes(raw))
    if sys.byteorder == "big":
        cells.byteswap()
    return cells.tolist()


def _room(width: int) -> int:
    """Bytes of the smallest machine integer that holds so many."""
    return 1 if width == 1 else 2 if width == 2 else 4 if width <= 4 else 8


def _deflated(body: bytes) -> bytes:
    """By runs and repeats, or (what noise prefers) by the letters' frequencies alone: the shorter."""
    # The most of both (15, 9) takes 400 KB anew from the kernel each time, which costs more than to pack an hour of
    # samples. A window that reaches over the whole body (zlib keeps 262 bytes of it to itself) gives the same bytes.
    window = max(9, min(15, (len(body) + 262).bit_length()))
    found = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED):
        packing = zlib.compressobj(9, zlib.DEFLATED, -window, min(9, window - 5), strategy)
        found.append(packing.compress(body) + packing.flush())
    return min(found, key=len)


def zigzag(number: int) -> int:
    return (number << 1) if number >= 0 else ((-number << 1) - 1)


def unzigzag(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def varint(into: bytearray, number: int) -> None:
    """Seven bits a byte, the lowest first; `number` is not negative."""
    while number > 0x7F:
        into.append(number & 0x7F | 0x80)
        number >>= 7
    into.append(number)


def read_varint(raw: bytes, place: int) -> tuple[int, int]:
    """(the number, where the next byte stands). IndexError at the end, ValueError where it never ends."""
    number = shift = 0
    while True:
        byte = raw[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
        shift += 7
        if shift > 140:
            raise ValueError("a number that does not end")
