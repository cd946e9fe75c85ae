"""Decimals as columns of binary COPY: exact, whatever their size.

A column of decimal128 has one scale and 38 digits. Where a batch has a number beyond that, its numbers are written in
the server's own binary form (`numeric_recv` in src/backend/utils/adt/numeric.c of PostgreSQL), one by one.
"""

# Arrow's stubs leave element types open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false

import struct
from decimal import Decimal
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute

MAX_DECIMAL128_DIGITS: Final = 38
_PLAIN_DECIMAL: Final = r"^-?[0-9]{1,20}(\.[0-9]{1,18})?$"
"""Numbers that decimal128 holds at whatever scale a batch of them has."""
_NEGATIVE: Final = 0x4000
pc = cast("Any", pyarrow.compute)  # its stubs know few of the types that its functions take


def numerics(texts: pa.Array) -> pa.Array:
    """Texts of decimals as decimal128 at the largest scale that occurs, or else as bytes of the server's own form."""
    if pc.all(pc.match_substring_regex(texts, _PLAIN_DECIMAL), min_count=0).as_py():
        points = pc.find_substring(texts, ".")
        digits = pc.subtract(pc.subtract(pc.binary_length(texts), points), 1)
        scale = pc.max(pc.if_else(pc.equal(points, -1), 0, digits), min_count=0).as_py() or 0
        return texts.cast(pa.decimal128(MAX_DECIMAL128_DIGITS, scale))
    decimals = [None if text is None else Decimal(text) for text in texts.to_pylist()]
    present = [number for number in decimals if number is not None]
    scale = max((-min(0, int(number.as_tuple().exponent)) for number in present), default=0)
    whole = max((number.adjusted() + 1 for number in present if number), default=1)
    if scale + max(whole, 1) > MAX_DECIMAL128_DIGITS:
        return pa.array([None if number is None else numeric_bytes(number) for number in decimals], pa.binary())
    return pa.array(decimals, pa.decimal128(MAX_DECIMAL128_DIGITS, scale))


def numeric_bytes(number: Decimal) -> bytes:
    """The number in the server's binary form: groups of four decimal digits, the place of the first, sign, scale."""
    whole, _, fraction = f"{number.copy_abs():f}".partition(".")
    padded = "0" * (-len(whole) % 4) + whole + fraction + "0" * (-len(fraction) % 4)
    groups = [int(padded[at : at + 4]) for at in range(0, len(padded), 4)]
    weight = (len(whole) + 3) // 4 - 1
    while groups and groups[0] == 0:
        del groups[0]
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    sign = _NEGATIVE if number < 0 else 0
    return struct.pack(f">HhHH{len(groups)}h", len(groups), weight if groups else 0, sign, len(fraction), *groups)
