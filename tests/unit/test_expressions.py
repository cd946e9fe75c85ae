"""JMESPath over rows: exact numbers, and the functions that a mapping needs besides its own."""

from decimal import Decimal
from typing import Any

import pytest

from kasparro.schemas.configuration.expressions import compile_expression, evaluate

ROW = {"a": "Ulm, DE", "n": " 1.10 ", "d": "01/02/2013", "e": "", "x": "1e999"}


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("split(a, ', ')", ["Ulm", "DE"]),
        ("split(a, ', ')[1]", "DE"),
        ("replace(a, 'Ulm', 'Bonn')", "Bonn, DE"),
        ("regex(a, '[A-Z]{2}')", "DE"),
        ("regex(a, '^([a-zA-Z]+),')", "Ulm"),
        ("regex(a, 'x')", None),
        ("lower(a)", "ulm, de"),
        ("parse_time(d, '%d/%m/%Y')", "2013-02-01T00:00:00"),
        ("parse_time(e, '%d/%m/%Y')", None),
        ("decimal(e)", None),
        ("[split(gone, ','), replace(gone, 'a', 'b'), regex(gone, 'a'), lower(gone), decimal(gone)]", [None] * 5),
        ("parse_time(gone, '%Y')", None),
        ("parse_time(gone, 'epoch_ms')", None),
        ("parse_time(`1517966773840`, 'epoch_ms')", "2018-02-07T01:26:13.840000+00:00"),
        ("parse_time('1517966773', 'epoch_s')", "2018-02-07T01:26:13+00:00"),
        ("parse_time(`-1`, 'epoch_ms')", "1969-12-31T23:59:59.999000+00:00"),
        ("type(decimal(n))", "number"),
        ("to_string(decimal(n))", "1.10"),
        ("to_number(a)", None),
        ("to_number(`true`)", None),
        ("decimal(n) > `1`", True),
        ("to_number(n) == decimal('1.1')", True),
        ("max([decimal(n), decimal('2.20')])", Decimal("2.20")),
    ],
)
def test_an_expression_gives(expression: str, result: Any) -> None:
    assert evaluate(compile_expression(expression), ROW) == result


@pytest.mark.parametrize("expression", ["decimal(n)", "to_number(n)", "decimal(to_number(n))"])
def test_numbers_stay_exact(expression: str) -> None:
    number = evaluate(compile_expression(expression), ROW)
    assert isinstance(number, Decimal)
    assert str(number) == "1.10"


@pytest.mark.parametrize(
    "expression",
    [
        "decimal(a)",
        "parse_time(a, '%Y')",
        "parse_time(`1`, '%Y')",
        "parse_time(a, 'epoch_s')",
        "parse_time('1e999999', 'epoch_s')",
        "regex(a, '(')",
        "lower(`1`)",
        "sum([decimal(n), `1.5`])",
    ],
)
def test_what_cannot_be_computed_raises(expression: str) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        evaluate(compile_expression(expression), ROW)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("lowr(a)", r'unknown function lowr\(\); did you mean "lower"\?'),
        ("a[?lower(b, c)]", r"lower\(\) takes 1 argument, not 2"),
        ("merge()", r"merge\(\) takes 1 or more arguments, not 0"),
    ],
)
def test_a_wrong_call_is_found_before_anything_runs(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compile_expression(expression)
