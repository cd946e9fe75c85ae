"""Who may use the API, and what signs the cursors it gives out."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    ARRAY,
    Column,
    Text,
)
from sqlmodel import Field, SQLModel

from kasparro.schemas.tables.columns import (
    bytes_column,
    text_column,
    time_column,
)


class ApiKeyRow(SQLModel, table=True):
    """A key of the API: SHA-256 of its secret, never the secret."""

    __tablename__: ClassVar[Any] = "api_keys"
    id: str = Field(sa_column=Column(Text, primary_key=True))
    name: str = text_column()
    secret_sha256: bytes = bytes_column()
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    created_at: datetime = time_column(now=True)
    expires_at: datetime | None = time_column(nullable=True)
    revoked_at: datetime | None = time_column(nullable=True)


class SigningKeyRow(SQLModel, table=True):
    """A secret of the service's own, shared by all its processes; it proves that a cursor came from us."""

    __tablename__: ClassVar[Any] = "signing_keys"
    name: str = Field(sa_column=Column(Text, primary_key=True))
    secret: bytes = bytes_column()
    created_at: datetime = time_column(now=True)
