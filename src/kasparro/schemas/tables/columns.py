"""Column builders for the table modules: one line a column, the same choices everywhere."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    Numeric,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

DIGEST_PRECISION = 39
"""Decimal digits of 2**128."""


def one_of(column: str, values: tuple[str, ...], name: str) -> CheckConstraint:
    return CheckConstraint(f"{column} in ({', '.join(repr(value) for value in values)})", name=name)


def identity_column(type_: type[BigInteger | Integer] = BigInteger) -> Any:
    return Field(sa_column=Column(type_, Identity(always=False), primary_key=True))


def text_column(*, nullable: bool = False, **options: Any) -> Any:
    return Field(sa_column=Column(Text, nullable=nullable, **options))


def time_column(*, nullable: bool = False, now: bool = False) -> Any:
    default = text("now()") if now else None
    return Field(sa_column=Column(DateTime(timezone=True), nullable=nullable, server_default=default))


def json_column(*, nullable: bool = True) -> Any:
    return Field(sa_column=Column(JSONB, nullable=nullable))


def bytes_column(*, nullable: bool = False) -> Any:
    return Field(sa_column=Column(LargeBinary, nullable=nullable))


def number_column(*, nullable: bool = False, default: int | None = None) -> Any:
    server_default = None if default is None else text(str(default))
    return Field(sa_column=Column(BigInteger, nullable=nullable, server_default=server_default))


def reference_column(target: str, *, nullable: bool = False, type_: type[BigInteger | Integer] = BigInteger) -> Any:
    return Field(sa_column=Column(type_, ForeignKey(target), nullable=nullable))


def digest_column(*, nullable: bool = False) -> Any:
    default = None if nullable else text("0")
    return Field(sa_column=Column(Numeric(DIGEST_PRECISION, 0), nullable=nullable, server_default=default))


def counter_column() -> Any:
    return number_column(default=0)
