"""Decimals reach the server exactly, in one of two binary forms."""

from decimal import Decimal

import pyarrow as pa
import pytest

from kasparro.services.numerics import numeric_bytes, numerics


@pytest.mark.parametrize(
    "numbers",
    [("1.50", "-2", "0"), ("1E+37",), ("9" * 38,), ("0." + "0" * 36 + "1",), ("0.00", "1E+3"), ("-" + "9" * 38,)],
)
def test_decimal128_where_it_holds_the_whole_column(numbers: tuple[str, ...]) -> None:
    column = numerics(pa.array([*numbers, None], pa.string()))
    assert column.to_pylist() == [*map(Decimal, numbers), None]


@pytest.mark.parametrize("numbers", [("1E+38",), ("9" * 39,), ("1e-39",), ("1e30", "1e-9"), ("1e-38", "1")])
def test_server_form_where_decimal128_is_too_small(numbers: tuple[str, ...]) -> None:
    column = numerics(pa.array([*numbers, None], pa.string()))
    assert column.to_pylist() == [*(numeric_bytes(Decimal(number)) for number in numbers), None]


@pytest.mark.parametrize(
    ("number", "form"),
    [
        ("0", "0000 0000 0000 0000"),
        ("0.00", "0000 0000 0000 0002"),
        ("1", "0001 0000 0000 0000 0001"),
        ("-1.5", "0002 0000 4000 0001 0001 1388"),
        ("10000", "0001 0001 0000 0000 0001"),
        ("12345.678", "0003 0001 0000 0003 0001 0929 1a7c"),
        ("0.00001", "0001 fffe 0000 0005 03e8"),
    ],
)
def test_server_form_is_that_of_numeric_send(number: str, form: str) -> None:
    """As `select encode(numeric_send(...), 'hex')` gives it."""
    assert numeric_bytes(Decimal(number)) == bytes.fromhex(form)
